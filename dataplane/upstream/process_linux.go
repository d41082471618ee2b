package upstream

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// childAttributes puts the child into a process group of its own, and has the kernel kill it should the proxy die.
func childAttributes() *syscall.SysProcAttr {
	// The signal comes when the thread ends that started the child; run keeps that thread.
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// reap waits for the process. Its pid stays taken until the rest of the group was killed, so that no other group is hit.
func (p *process) reap() error {
	// WNOWAIT leaves a zombie: as long as there is one, its pid names no other process or group.
	for {
		err := unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // ESRCH: nobody else was in it
	p.reaped = true
	return p.cmd.Wait() // returns at once: the process has ended
}
