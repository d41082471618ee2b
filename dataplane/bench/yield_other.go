//go:build !linux

package main

import (
	"fmt"
	"syscall"
)

// yield has a process run when hardly anybody else wants to. Its group is its own, as lab starts it.
func yield(pid int) error {
	if err := syscall.Setpriority(syscall.PRIO_PGRP, pid, 19); err != nil {
		return fmt.Errorf("taking the lowest priority: %w", err)
	}
	return nil
}
