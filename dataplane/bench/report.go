package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// grid is a table in Markdown.
type grid [][]string

// newGrid begins one with its heads.
func newGrid(heads ...string) *grid {
	rules := slices.Repeat([]string{"---"}, len(heads))
	return &grid{heads, rules}
}

// row adds a row; cells are printed as they are.
func (g *grid) row(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	*g = append(*g, row)
}

func (g *grid) print() {
	for _, row := range *g {
		fmt.Println("| " + strings.Join(row, " | ") + " |")
	}
	fmt.Println()
}

// median of a list; 0 of none.
func median[T float64 | time.Duration](list []T) T {
	if len(list) == 0 {
		return 0
	}
	list = slices.Sorted(slices.Values(list))
	return list[len(list)/2]
}

// reading is what is read from a sample.
type reading func(sample) float64

func rate(s sample) float64    { return s.rate() }
func perCall(s sample) float64 { return float64(s.perCall()) }

func latency(p float64) reading {
	return func(s sample) float64 { return float64(s.percentile(p)) }
}

// of is the median of a reading over the rounds.
func (f findings) of(name string, callers int, read reading) float64 {
	var list []float64
	for _, s := range f[cell{name, callers}] {
		list = append(list, read(s))
	}
	return median(list)
}

// ratio is the median over the rounds of what a reading of one target is to that of another in the same round.
func (f findings) ratio(name, to string, callers int, read reading) float64 {
	of, base := f[cell{name, callers}], f[cell{to, callers}]
	var list []float64
	for i := range min(len(of), len(base)) {
		if b := read(base[i]); b > 0 {
			list = append(list, read(of[i])/b)
		}
	}
	return median(list)
}

// span is a duration as tables show it.
func span(nanoseconds float64) string {
	return time.Duration(nanoseconds).Round(time.Microsecond).String()
}

// times is a ratio as tables show it.
func times(ratio float64) string { return fmt.Sprintf("%.2f×", ratio) }

// verdict says whether a wish came true.
func verdict(ok bool) string {
	if ok {
		return "yes"
	}
	return "**no**"
}

func kib(bytes int) string { return fmt.Sprintf("%d KB", bytes>>10) }

func mib(bytes float64) string { return fmt.Sprintf("%.1f MB", bytes/(1<<20)) }
