package seal

import (
	"fmt"
	"time"
)

// packDate turns "2025-11-25" into 20251125, and what is no date into 0.
func packDate(version string) uint32 {
	d, err := time.Parse(time.DateOnly, version)
	if err != nil {
		return 0
	}
	return uint32(d.Year()*10000 + int(d.Month())*100 + d.Day())
}

func unpackDate(n uint32) string {
	switch n { // the usual ones cost no memory
	case 0:
		return ""
	case 20251125:
		return "2025-11-25"
	case 20250618:
		return "2025-06-18"
	}
	return fmt.Sprintf("%04d-%02d-%02d", n/10000, n/100%100, n%100)
}
