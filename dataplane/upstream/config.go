package upstream

import (
	"log/slog"
	"os"
	"time"

	"github.com/gatehouse-mcp/gatehouse/dataplane/limit"
)

// Config says how a pool runs. The zero value works.
type Config struct {
	// Environ looks up what ${VAR} refers to, and the few variables that every child process gets; nil means os.LookupEnv.
	Environ func(name string) (string, bool)
	// Logger takes what operators should know; nil discards it.
	Logger *slog.Logger
	// Version is how the gateway names itself to servers; empty means "dev".
	Version string
	// MaxMessageBytes bounds one message of a server; 0 means 256 MiB.
	MaxMessageBytes int
	// MaxMemoryBytes bounds a message that is held in memory: any but an answer to a call that takes large results. 0 means
	// 64 MiB.
	MaxMemoryBytes int
	// SpillBytes is the size from which on such an answer goes to a file; 0 means 2 MiB.
	SpillBytes int
	// SpillDir is the folder of those files, which should not be in memory itself; empty means the system's for temporary
	// files. What an earlier process left there is removed.
	SpillDir string
	// MaxSpilledBytes bounds all of those files together; 0 means 8 GiB.
	MaxSpilledBytes int64
	// ConnectTimeout bounds starting a server and the handshake with it; 0 means 30 s.
	ConnectTimeout time.Duration
	// ProbeTimeout is how long a server may think about server/discover before initialize is tried; 0 means 3 s.
	ProbeTimeout time.Duration
	// CallTimeout bounds a call whose context has no deadline; 0 means 10 min.
	CallTimeout time.Duration
	// StopGrace is how long a child process may take to end after each step of being asked to; 0 means 2 s.
	StopGrace time.Duration
	// CatalogueAge is how old a catalogue may be before it is read again; 0 means 5 min.
	CatalogueAge time.Duration
	// IdleTimeout is how long the session of one agent, or of one agent's session, is kept unused; 0 means 10 min.
	IdleTimeout time.Duration
	// MaxSessions bounds the sessions with one server whose mode is not shared; 0 means 64.
	MaxSessions int
	// MaxCalls bounds the calls under way at one server; 0 means 4096.
	MaxCalls int
	// MaxNotifications bounds what a server may say during one call; 0 means 100,000. Beyond it, a call over HTTP ends, and
	// what comes on a connection that calls share is dropped.
	MaxNotifications int
	// MaxAnswerHeaders bounds the headers of an HTTP answer, in bytes; 0 means 256 KiB.
	MaxAnswerHeaders int
	// MaxRedirects bounds how many redirects are followed for one request; 0 means 3.
	MaxRedirects int
	// MaxTools and MaxCatalogueBytes bound the tools of one server; 0 means 20,000 and 64 MiB.
	MaxTools, MaxCatalogueBytes int
	// Refused is told of each refusal for one of these bounds; nil means that nobody counts.
	Refused func(limit.Name)
}

// withDefaults returns c with every field set.
func (c Config) withDefaults() Config {
	if c.Environ == nil {
		c.Environ = os.LookupEnv
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	orInt(&c.MaxMessageBytes, 256<<20)
	orInt(&c.MaxMemoryBytes, 64<<20)
	c.MaxMemoryBytes = min(c.MaxMemoryBytes, c.MaxMessageBytes)
	orInt(&c.SpillBytes, 2<<20)
	orInt(&c.MaxSpilledBytes, 8<<30)
	if c.SpillDir == "" {
		c.SpillDir = os.TempDir()
	}
	orInt(&c.MaxSessions, 64)
	orInt(&c.MaxCalls, 4096)
	orInt(&c.MaxNotifications, 100_000)
	orInt(&c.MaxAnswerHeaders, 256<<10)
	orInt(&c.MaxRedirects, 3)
	orInt(&c.MaxTools, 20_000)
	orInt(&c.MaxCatalogueBytes, 64<<20)
	if c.Refused == nil {
		c.Refused = func(limit.Name) {}
	}
	orInt(&c.ConnectTimeout, 30*time.Second)
	orInt(&c.ProbeTimeout, 3*time.Second)
	orInt(&c.CallTimeout, 10*time.Minute)
	orInt(&c.StopGrace, 2*time.Second)
	orInt(&c.CatalogueAge, 5*time.Minute)
	orInt(&c.IdleTimeout, 10*time.Minute)
	return c
}

// orInt gives a number that is not positive its default.
func orInt[T ~int | ~int64](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}
