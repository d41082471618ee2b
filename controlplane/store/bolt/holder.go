package bolt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// holder says who holds the lock, which the lock itself does not tell. It is for people: only the lock decides.
type holder struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`  // the folder may be on a disk that several share
	Since time.Time `json:"since"` // in UTC, whole seconds
}

// holderPath is where the name of the holder is.
func (c Config) holderPath() string { return c.path() + ".holder" }

// writeHolder leaves our name beside the file; the lock MUST be held.
func writeHolder(c Config) error {
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	b, err := json.Marshal(holder{PID: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	tmp := c.holderPath() + ".tmp" // renamed, so that a reader never sees half a name
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, c.holderPath())
}

// removeHolder takes our name away; the lock MUST still be held.
func removeHolder(c Config) error {
	if err := os.Remove(c.holderPath()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// inUse says who holds the store, as far as the file beside it tells. For a moment after a kill it may name the process
// before; that is better than no name.
func inUse(c Config) error {
	var h holder
	b, err := os.ReadFile(c.holderPath())
	if err != nil || json.Unmarshal(b, &h) != nil || h.PID == 0 {
		return fmt.Errorf("%w by another process", store.ErrInUse)
	}
	return fmt.Errorf("%w by process %d on %s since %s", store.ErrInUse, h.PID, h.Host, h.Since.Format(time.RFC3339))
}
