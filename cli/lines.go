package cli

import "slices"

// diffContext is how many unchanged lines stand around a changed one.
const diffContext = 2

// maxDiffCells bounds the table of the line comparison; beyond it all lines count as changed.
const maxDiffCells = 4 << 20

// diffLines compares two texts line by line. Each result begins with "+", "-" or a space; what is far from any change is
// left out, with "…" in its place.
func diffLines(a, b []string) []string {
	if len(a)*len(b) > maxDiffCells {
		return append(marked('-', a), marked('+', b)...)
	}
	return elide(mergeLines(a, b, commonLengths(a, b)))
}

// marked puts a sign before each line.
func marked(sign byte, lines []string) []string {
	out := make([]string, 0, len(lines))
	for _, line := range lines {
		out = append(out, string(sign)+" "+line)
	}
	return out
}

// commonLengths holds at [i][j] how many lines a[i:] and b[j:] have in common, in order.
func commonLengths(a, b []string) [][]int {
	table := make([][]int, len(a)+1)
	for i := range table {
		table[i] = make([]int, len(b)+1)
	}
	for i, lineA := range slices.Backward(a) {
		for j, lineB := range slices.Backward(b) {
			if lineA == lineB {
				table[i][j] = table[i+1][j+1] + 1
				continue
			}
			table[i][j] = max(table[i+1][j], table[i][j+1])
		}
	}
	return table
}

// mergeLines walks the table: common lines once, the others with the sign of their side, removals first.
func mergeLines(a, b []string, table [][]int) []string {
	var out []string
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case table[i+1][j] >= table[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	out = append(out, marked('-', a[i:])...)
	return append(out, marked('+', b[j:])...)
}

// elide leaves out runs of common lines that are not near a change.
func elide(lines []string) []string {
	var out []string
	skipped := false
	for i, line := range lines {
		if nearChange(lines, i) {
			out, skipped = append(out, line), false
		} else if !skipped {
			out, skipped = append(out, "…"), true
		}
	}
	return out
}

// nearChange says whether a changed line stands within diffContext of line i.
func nearChange(lines []string, i int) bool {
	for k := max(0, i-diffContext); k <= min(len(lines)-1, i+diffContext); k++ {
		if lines[k][0] != ' ' {
			return true
		}
	}
	return false
}
