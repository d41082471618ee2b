// Package h1 speaks HTTP/1.1 (RFC 9112) over plain TCP for many small messages, and wakes nobody whom a message does not
// need: a client for few servers, and a server for many agents. net/http serves both well, but with a goroutine or two and
// some timers for each message, and waking those costs more than all else that a gateway does with a call.
//
// The client is for POSTs. The goroutine that calls writes the request in one piece and reads the answer itself:
//
//	Host.Post    -- take an idle connection, or dial
//	* converse   -- is it still quiet; write head and body; wait for the answer's first byte
//	* readHead   -- skip 1xx, judge the rest strictly
//	Body.Read    -- from the connection into the reader's memory
//	Body.Close   -- back to the idle ones, if all of it was read
//
// A request is sent twice only where nothing of it was written before, to a connection that had been used and was closed by
// its server meanwhile. It knows no proxies, no TLS, no redirects and no compression; those belong to net/http.
//
// The server serves an http.Handler. The goroutine of a connection reads a request, runs the handler and writes the answer:
//
//	await        -- the next head, whole
//	* understand -- what it says: mostly what the one before said, and then nothing is parsed
//	* ServeHTTP  -- the handler, which reads the body and writes the answer
//	finish       -- what was held back of the answer, in one write
//
// What takes time is looked after by one goroutine for all connections (watch.go): it ends what is over its deadline, and has
// an agent watched for leaving once its request is under way for some hundredths of a second. A handler sees no difference to
// net/http's server but these: the context ends when the agent leaves and not when the handler returns; the request belongs
// to the connection and must not be kept; deadlines hold to some hundredths of a second; interim answers and full duplex are
// not to be had.
//
// Both refuse what two readers could understand differently: folded lines, two lengths, a length beside a transfer coding,
// white space around names.
package h1
