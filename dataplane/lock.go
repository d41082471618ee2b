package dataplane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock takes a state directory for this process alone: two proxies that keep their snapshot and their name in one place would
// overwrite each other's, and drive each other off the control plane. The system lets go of it however the process ends.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking state directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking state directory %s: another proxy uses it: stop that one, or give this one a --state-dir of its own", dir)
		}
		return nil, fmt.Errorf("locking state directory %s: %w", dir, err)
	}
	return f, nil
}
