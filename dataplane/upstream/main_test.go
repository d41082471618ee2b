package upstream_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// serverEnv names, in a child process of the tests, the server that the test binary plays instead of testing.
const serverEnv = "GATEHOUSE_TEST_SERVER"

func TestMain(m *testing.M) {
	if name := os.Getenv(serverEnv); name != "" {
		os.Exit(play(name))
	}
	goleak.VerifyTestMain(m)
}
