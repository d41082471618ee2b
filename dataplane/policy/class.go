package policy

import "slices"

// classEnd returns the index of the "]" that closes the class with which p begins, or -1. A "]" that comes first, or
// right after "!", is part of the content.
func classEnd(p []rune) int {
	i := 1
	if i < len(p) && p[i] == '!' {
		i++
	}
	if i < len(p) && p[i] == ']' {
		i++
	}
	if n := slices.Index(p[i:], ']'); n >= 0 {
		return i + n
	}
	return -1
}

// compileClass compiles what stands between the brackets, reading ranges as fnmatch does: a range whose ends are in the
// wrong order is removed before the "!" is looked for, so "[b-a!x]" is "[!x]" there and here.
func compileClass(content []rune) *class {
	chunks := dropReversed(splitRanges(content))
	c := &class{}
	if first := chunks[0]; len(first) > 0 && first[0] == '!' {
		c.negate = true
		chunks[0] = first[1:]
	}
	if len(chunks[0]) == 0 && len(chunks) > 1 { // "[^-z]" is how fnmatch goes on after "[!": the hyphen has no left end
		chunks[1] = append([]rune{'-'}, chunks[1]...)
		chunks = chunks[1:]
	}
	for i, chunk := range chunks {
		for _, r := range chunk {
			c.set = append(c.set, span{r, r})
		}
		if i > 0 {
			before := chunks[i-1]
			c.set = append(c.set, span{before[len(before)-1], chunk[0]})
		}
	}
	return c
}

// splitRanges cuts the content at each "-" that makes a range: the last code point of a chunk and the first of the next
// are its ends. Other hyphens stay in their chunk.
func splitRanges(p []rune) [][]rune {
	var chunks [][]rune
	from, k := 0, 1
	if p[0] == '!' {
		k = 2
	}
	for k < len(p) {
		n := slices.Index(p[k:], '-')
		if n < 0 {
			break
		}
		chunks = append(chunks, slices.Clone(p[from:k+n]))
		from, k = k+n+1, k+n+3
	}
	if from < len(p) || len(chunks) == 0 {
		return append(chunks, slices.Clone(p[from:]))
	}
	last := len(chunks) - 1
	chunks[last] = append(chunks[last], '-')
	return chunks
}

// dropReversed removes ranges that hold nothing, from the last to the first, and joins what stood around them.
func dropReversed(chunks [][]rune) [][]rune {
	for k := len(chunks) - 1; k > 0; k-- {
		before, after := chunks[k-1], chunks[k]
		if before[len(before)-1] > after[0] {
			chunks[k-1] = append(before[:len(before)-1], after[1:]...)
			chunks = slices.Delete(chunks, k, k+1)
		}
	}
	return chunks
}
