package main

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

// schedIdle is the policy of what runs when nothing else wants to, and gives way at once (sched(7)).
const schedIdle = 5

// yield gives a process that policy. Threads to come are as the one that makes them.
func yield(pid int) error {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return fmt.Errorf("finding the threads: %w", err)
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return fmt.Errorf("reading a thread's number: %w", err)
		}
		var priority int32 // the only one of the policy
		_, _, failed := syscall.Syscall(syscall.SYS_SCHED_SETSCHEDULER, uintptr(id), schedIdle, uintptr(unsafe.Pointer(&priority)))
		if failed != 0 {
			return fmt.Errorf("giving way to others: %w", failed)
		}
	}
	return nil
}
