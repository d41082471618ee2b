// Package publish turns the newest revision of the store into one frame for all proxies. Each revision is resolved and
// encoded once, however many streams send it. Only the newest frame is kept: a reader that was slow gets the newest next,
// never a queue of older ones.
//
// It refuses to publish a revision that cannot be read or proven; then the frame before it stays, and the log says why.
package publish
