package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// inherited are the only variables of the proxy that a child process gets, as the MCP SDKs do.
var inherited = []string{"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"}

// leftoverTime is how long the pipes of a process that has ended are read on: somebody else may hold them open.
const leftoverTime = 500 * time.Millisecond

// program is what to run, with all references resolved.
type program struct {
	// command is looked up in the proxy's PATH; it is never given to a shell.
	command string
	args    []string
	env     []string
	dir     string
	log     *slog.Logger
	// scrub takes resolved references out of what the process says.
	scrub func(string) string
}

// process is one child process, alone in a process group, with its three pipes.
type process struct {
	cmd *exec.Cmd
	// stdin and stdout are our ends; closing stdin is how a server is asked to end (basic/transports §stdio).
	stdin  *os.File
	stdout *os.File
	errors *stderrTail

	// exited is closed once the process was reaped and its standard error read.
	exited chan struct{}
	state  string // how it ended; readable once exited is closed

	mu     sync.Mutex // guards below
	reaped bool       // the pid may belong to somebody else now
}

// startProcess runs a program. Whoever reads stdout closes it; stop ends everything else.
func startProcess(p program) (*process, error) {
	cmd := exec.Command(p.command, p.args...)
	cmd.Env, cmd.Dir = p.env, p.dir
	// A group of its own, so that a signal reaches what a launcher such as npx has started, and ^C on our terminal does not.
	cmd.SysProcAttr = childAttributes()
	ours, theirs, err := pipes(cmd)
	defer closeAll(theirs) // the child has its own copies by then
	if err != nil {
		closeAll(ours)
		return nil, fmt.Errorf("making pipes: %w", err)
	}
	pr := &process{cmd: cmd, stdin: ours[0], stdout: ours[1], exited: make(chan struct{})}
	pr.errors = newStderrTail(ours[2], p)
	started := make(chan error, 1)
	go pr.run(started)
	if err := <-started; err != nil {
		closeAll(ours)
		return nil, fmt.Errorf("starting its command: %w", cause(err))
	}
	return pr, nil
}

// cause takes the resolved command or folder out of an error: agents may read it.
func cause(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("%s: %w", path.Op, path.Err)
	}
	if lookup, ok := errors.AsType[*exec.Error](err); ok {
		return lookup.Err
	}
	return err
}

// pipes makes the three pipes of cmd: our ends and its ends, each in the order of the descriptors.
func pipes(cmd *exec.Cmd) (ours, theirs []*os.File, err error) {
	for i := range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			return ours, theirs, err
		}
		if i == 0 {
			r, w = w, r
		}
		ours, theirs = append(ours, r), append(theirs, w)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs[0], theirs[1], theirs[2]
	return ours, theirs, nil
}

// closeAll closes files that may be closed already.
func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// run starts the process and waits for it. It keeps its thread: the kernel kills the child when the thread that started
// it ends (childAttributes), and waiting occupies one anyway.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.exited)
	err := p.cmd.Start()
	// startProcess goes on; err is not looked at there before this.
	started <- err
	if err != nil {
		p.errors.read(nil)
		return
	}
	drained := make(chan struct{})
	go p.errors.read(drained)
	err = p.reap()
	p.state = p.describe(err)
	// A grandchild that left the group may hold the pipes open for ever.
	deadline := time.Now().Add(leftoverTime)
	_ = p.stdout.SetReadDeadline(deadline) // an error means that it is closed already
	_ = p.errors.pipe.SetReadDeadline(deadline)
	<-drained
}

// describe says how the process ended.
func (p *process) describe(err error) string {
	if s := p.cmd.ProcessState; s != nil {
		if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return "signal: " + ws.Signal().String()
		}
		return fmt.Sprintf("status %d", s.ExitCode())
	}
	return fmt.Sprint(err)
}

// signal signals the whole group, unless the process has been reaped.
func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(-p.cmd.Process.Pid, sig) // ESRCH: the group is gone, which is what we want
	}
}

// stop asks the process to end, then tells it, then kills it; each step has grace to work. It returns once it was reaped.
func (p *process) stop(grace time.Duration) {
	p.stdin.Close()
	if p.waits(grace) {
		return
	}
	p.signal(syscall.SIGTERM)
	if p.waits(grace) {
		return
	}
	p.kill()
}

// kill ends the process and its group at once; it returns once it was reaped.
func (p *process) kill() {
	p.stdin.Close()
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// waits says whether the process has ended within d.
func (p *process) waits(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.exited:
		return true
	case <-t.C:
		return false
	}
}

// childEnv is the environment of a child process: the inherited few, and what the definition adds.
func childEnv(lookup func(string) (string, bool), extra map[string]string) []string {
	var env []string
	for _, name := range inherited {
		if v, ok := lookup(name); ok && !strings.HasPrefix(v, "()") { // an exported shell function is code
			env = append(env, name+"="+v)
		}
	}
	var added []string
	for k, v := range extra {
		added = append(added, k+"="+v)
	}
	slices.Sort(added)
	return append(env, added...) // a later entry of the same name counts
}

// stderrTail reads what a process says on its standard error: all of it to the log, and the last line kept for messages.
type stderrTail struct {
	pipe  *os.File
	log   *slog.Logger
	scrub func(string) string

	mu   sync.Mutex // guards below
	last string
}

// stderrBytes bounds one line of standard error; longer ones are cut into pieces.
const stderrBytes = 4 << 10

// newStderrTail reads nothing yet.
func newStderrTail(pipe *os.File, p program) *stderrTail {
	return &stderrTail{pipe: pipe, log: p.log, scrub: p.scrub}
}

// read reads until the end and closes the pipe; a nil done says that there is nothing to read.
func (t *stderrTail) read(done chan<- struct{}) {
	defer t.pipe.Close()
	if done == nil {
		return
	}
	defer close(done)
	in := bufio.NewReaderSize(t.pipe, stderrBytes)
	for {
		line, err := in.ReadSlice('\n')
		t.keep(strings.TrimSpace(string(line)))
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.log.Debug("standard error ended", "reason", err)
			}
			return
		}
	}
}

// keep logs a line and remembers it.
func (t *stderrTail) keep(line string) {
	if line == "" {
		return
	}
	line = t.scrub(line)
	t.log.Debug("server says", "line", line)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = line
}

// line returns the last line, shortened to fit into a message.
func (t *stderrTail) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := []rune(t.last); len(r) > 200 {
		return string(r[:200]) + "…"
	}
	return t.last
}
