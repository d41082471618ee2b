package mcp_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
)

// plainByByte is PlainEnd written the plain way.
func plainByByte(data []byte, pos int) (end int, ascii bool) {
	for ascii = true; pos < len(data); pos++ {
		c := data[pos]
		if c == '"' || c == '\\' || c < ' ' {
			break
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return pos, ascii
}

func TestPlainEndFindsEveryByteAtEveryPlace(t *testing.T) {
	for c := range 256 {
		for n := range 80 {
			for _, around := range []byte{'a', ' ', '!', '#', '[', ']', 0x7f, 0x80, 0xa2, 0xdc, 0xff} {
				data := bytes.Repeat([]byte{around}, 80)
				data[n] = byte(c)
				end, ascii := mcp.PlainEnd(data, 0)
				wantEnd, wantASCII := plainByByte(data, 0)
				if end != wantEnd || ascii != wantASCII {
					t.Fatalf("PlainEnd(%q) = %d, %v, want %d, %v", data, end, ascii, wantEnd, wantASCII)
				}
			}
		}
	}
}

func TestPlainEndFindsEveryByteInALongString(t *testing.T) {
	const size = 14 << 10
	for _, around := range []byte{'a', 0xb6} {
		data := bytes.Repeat([]byte{around}, size)
		for _, c := range []byte{0, 0x1f, ' ', '!', '"', '#', '[', '\\', ']', 0x7f, 0x80, 0xa2, 0xc3, 0xdc, 0xff} {
			for n := 0; n < size; n += 1 + n%97 {
				data[n] = c
				end, ascii := mcp.PlainEnd(data, 3)
				wantEnd, wantASCII := plainByByte(data, 3)
				data[n] = around
				if end != wantEnd || ascii != wantASCII {
					t.Fatalf("PlainEnd with %q at %d of %q = %d, %v, want %d, %v", c, n, around, end, ascii, wantEnd, wantASCII)
				}
			}
		}
	}
}

// A string is valid where the standard library says so, whatever its length and wherever it goes wrong.
func TestLongStringsAreUTF8(t *testing.T) {
	characters := []string{"a", "ö", "敏", "\U0001f600", "plain ASCII text of some length, "}
	random := rand.New(rand.NewPCG(1, 2)) // the same texts in every run
	for range 300 {
		text := []byte{'"'}
		for size := random.IntN(12 << 10); len(text) < size; {
			text = append(text, characters[random.IntN(len(characters))]...)
		}
		text = append(text, '"')
		for _, c := range []byte{'a', 0x80, 0xc0, 0xc3, 0xe0, 0xed, 0xf0, 0xf4, 0xf5, 0xff} {
			broken := bytes.Clone(text)
			if len(text) > 2 {
				broken[1+random.IntN(len(text)-2)] = c
			}
			if err, want := mcp.Check(broken), utf8.Valid(broken); (err == nil) != want {
				t.Fatalf("Check(%q) = %v, and utf8.Valid says %v", broken, err, want)
			}
			o := mcp.NewOutline()
			_, err := o.Write(slices.Concat([]byte(`{"jsonrpc":"2.0","id":1,"result":`), broken, []byte("}")))
			if err == nil {
				_, err = o.Close()
			}
			if want := utf8.Valid(broken); (err == nil) != want {
				t.Fatalf("Outline of %q = %v, and utf8.Valid says %v", broken, err, want)
			}
		}
	}
}

func FuzzPlainEnd(f *testing.F) {
	f.Add([]byte(`0123456701234567012345670123456701234567"`), 0)
	f.Add([]byte("ä0123456701234567012345670123456701234567\x1f"), 3)
	f.Add([]byte("\x80\xa2\xdc\x00\"\\"), 1)
	f.Fuzz(func(t *testing.T, data []byte, pos int) {
		pos = min(max(pos, 0), len(data))
		if len(data) > 0 && data[0]%2 == 1 { // else blocks would never be reached
			around := []string{"plain ASCII ", "plain ASCII ", "pläin ASCII "}[len(data)%3]
			data = append(bytes.Repeat([]byte(around), 1+len(data)%700), data...)
		}
		end, ascii := mcp.PlainEnd(data, pos)
		wantEnd, wantASCII := plainByByte(data, pos)
		if end != wantEnd || ascii != wantASCII {
			t.Errorf("PlainEnd(%q, %d) = %d, %v, want %d, %v", data, pos, end, ascii, wantEnd, wantASCII)
		}
	})
}

// What is not UTF-8 is named before what else is wrong with a text, wherever it stands.
func TestInvalidUTF8IsNamedFirst(t *testing.T) {
	const want = "parsing JSON: invalid UTF-8 at byte 0"
	for _, text := range []string{"{\"a\":\"\xff\"}", "{\"a\":}\xff", "\xff", "{\"jsonrpc\":1,\"jsonrpc\":2,\"a\":\"\xc3\"}", "\"\xc3\\n\xa4\"", "\"\xed\xa0\x80\""} {
		if err := mcp.Check([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("Check(%q) = %v, want %s", text, err, want)
		}
		if _, err := mcp.ScanMessage([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("ScanMessage(%q) = %v, want %s", text, err, want)
		}
	}
}
