package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// measureMicro runs the micro benchmarks of the path of a call and of a decision, from the folder of the module.
func measureMicro(ctx context.Context, o options) error {
	length := "1s"
	if o.quick {
		length = "50ms"
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "Path|Decide", "-benchtime", length, "./dataplane", "./dataplane/policy")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("running the micro benchmarks: %w: %s", err, out)
	}
	fmt.Println("```")
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Benchmark") {
			fmt.Print(line)
		}
	}
	fmt.Print("```\n\n")
	return nil
}
