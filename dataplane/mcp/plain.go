package mcp

import (
	"bytes"
	"encoding/binary"
	"math/bits"

	"github.com/segmentio/asm/ascii"
)

// Each byte of a word set to one, the top bit of each, and what ends a run of plain characters: what it takes to look at
// eight bytes at once.
const (
	lows   = 0x0101010101010101
	highs  = 0x8080808080808080
	spaces = ' ' * lows
	quotes = '"' * lows
	slants = '\\' * lows
	breaks = 'n' * lows // behind a backslash
)

const (
	// longString is how much of a string has to be plain before more of it is looked at in blocks of blockBytes.
	longString = 1 << 10
	blockBytes = 4 << 10
)

// plainEnd returns where, from pos on, the first quote, backslash or control character stands, or the end of data, and
// whether all before it is ASCII. Long strings are most of what passes through a gateway, so it looks at eight bytes at a
// time, at 24 where the first eight hold nothing, and at whole blocks once a string proves to be long.
func plainEnd(data []byte, pos int) (end int, ascii bool) {
	for long := pos + longString; pos+32 <= len(data); pos += 32 {
		if pos >= long {
			if pos = skipBlocks(data, pos); pos+32 > len(data) {
				break
			}
			long = pos + longString
		}
		b := data[pos : pos+32 : pos+32]
		m0 := unusual(binary.LittleEndian.Uint64(b))
		if m0 != 0 { // most strings are short
			return stop(data, pos, m0)
		}
		m1, m2, m3 := unusual(binary.LittleEndian.Uint64(b[8:])), unusual(binary.LittleEndian.Uint64(b[16:])), unusual(binary.LittleEndian.Uint64(b[24:]))
		switch {
		case m1|m2|m3 == 0:
		case m1 != 0:
			return stop(data, pos+8, m1)
		case m2 != 0:
			return stop(data, pos+16, m2)
		default:
			return stop(data, pos+24, m3)
		}
	}
	for ; pos+8 <= len(data); pos += 8 {
		if m := unusual(binary.LittleEndian.Uint64(data[pos:])); m != 0 {
			return stop(data, pos, m)
		}
	}
	for ; pos < len(data) && data[pos] != '"' && data[pos] != '\\' && data[pos] >= ' '; pos++ {
		if data[pos] >= 0x80 {
			return wideEnd(data, pos), false
		}
	}
	return pos, true
}

// skipBlocks returns the first place from pos on, in steps of a block, whose block has anything in it that is not plain ASCII.
// Each of the three looks at 32 bytes at a time where the processor can, and together they are twice as fast as one look for
// everything at eight bytes.
func skipBlocks(data []byte, pos int) int {
	for pos+blockBytes <= len(data) {
		b := data[pos : pos+blockBytes]
		if bytes.IndexByte(b, '"') >= 0 || bytes.IndexByte(b, '\\') >= 0 || !ascii.ValidPrint(b) {
			break
		}
		pos += blockBytes
	}
	return pos
}

// skipWideBlocks is skipBlocks for text of any characters.
func skipWideBlocks(data []byte, pos int) int {
	for pos+blockBytes <= len(data) {
		b := data[pos : pos+blockBytes]
		if bytes.IndexByte(b, '"') >= 0 || bytes.IndexByte(b, '\\') >= 0 || hasControl(b) {
			break
		}
		pos += blockBytes
	}
	return pos
}

// hasControl says whether a block, of a multiple of 32 bytes, has control characters.
func hasControl(b []byte) bool {
	for ; len(b) >= 32; b = b[32:] {
		w0, w1 := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		w2, w3 := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
		// Only what is not ASCII has the top bit itself, and borrows come from what counts.
		if ((w0-spaces)&^w0|(w1-spaces)&^w1|(w2-spaces)&^w2|(w3-spaces)&^w3)&highs != 0 {
			return true
		}
	}
	return false
}

// stop ends a search at the first mark of a word, unless what stands there only is not ASCII.
func stop(data []byte, pos int, marks uint64) (end int, ascii bool) {
	pos += bits.TrailingZeros64(marks) / 8 // the lowest mark is exact, higher ones may be borrows
	if data[pos] < 0x80 {
		return pos, true
	}
	return wideEnd(data, pos), false
}

// unusual marks the bytes of a word that are a quote, a backslash, a control character or not ASCII, by their top bits.
// Above the lowest mark there may be wrong ones.
func unusual(w uint64) uint64 {
	// x-1 has the top bit where x is 0 and, besides, only where x is not ASCII, which is marked anyhow; w-space likewise.
	return (((w ^ quotes) - lows) | ((w ^ slants) - lows) | (w - spaces) | w) & highs
}

// zeros marks the bytes of a word that are zero, by their top bits, and no others.
func zeros(w uint64) uint64 { return ^((w&^highs + ^uint64(highs)) | w | ^uint64(highs)) }

// wideEnd is plainEnd that does not care for ASCII.
func wideEnd(data []byte, pos int) int {
	for long := pos + longString; pos+8 <= len(data); pos += 8 {
		if pos >= long {
			if pos = skipWideBlocks(data, pos); pos+8 > len(data) {
				break
			}
			long = pos + longString
		}
		w := binary.LittleEndian.Uint64(data[pos:])
		// As unusual, but exact below the lowest mark: the term behind &^ takes out what has the top bit itself.
		quote, slash := w^quotes, w^slants
		special := ((quote - lows) &^ quote) | ((slash - lows) &^ slash) | ((w - spaces) &^ w)
		if special &= highs; special != 0 {
			return pos + bits.TrailingZeros64(special)/8
		}
	}
	for pos < len(data) && data[pos] != '"' && data[pos] != '\\' && data[pos] >= ' ' {
		pos++
	}
	return pos
}
