package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// unknown says that a field is not known here, and which one was meant or which ones there are.
func unknown(name string, known fields) string {
	names := slices.Sorted(maps.Keys(known))
	if near := nearest(name, names); near != "" {
		return fmt.Sprintf("unknown field %q, did you mean %q?", shorten(name), near)
	}
	return fmt.Sprintf("unknown field %q, known here: %s", shorten(name), strings.Join(names, ", "))
}

// nearest is the name that was probably meant; empty where none is near. A wrong guess is worse than none, so the bounds
// are narrow: "dney" is deny, "comment" is nothing.
func nearest(name string, names []string) string {
	best, bestDistance := "", 3
	for _, candidate := range names {
		if plain(name) == plain(candidate) {
			return candidate
		}
		// A third of the name may be wrong, but no more than two letters.
		d := distance(plain(name), plain(candidate))
		if d < bestDistance && 3*d <= max(len(candidate), 3) {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// plain undoes what differs between snake_case, kebab-case and camelCase: the seed's files are in the first, manifests in
// the last, and people carry names from one to the other.
func plain(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// distance counts the letters to insert, delete, replace or swap with their neighbour. Names far longer than any field are
// not measured.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return len(a) + len(b)
	}
	// Only the last two rows of the table are ever needed.
	twoBack, back := make([]int, len(b)+1), make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range back {
		back[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := back[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(back[j]+1, row[j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], twoBack[j-2]+1)
			}
		}
		twoBack, back, row = back, row, twoBack
	}
	return back[len(b)]
}
