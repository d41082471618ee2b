package cli

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says what this program is, in JSON.
type build struct {
	Version  string `json:"version"`
	Go       string `json:"go"`       // the toolchain's
	Platform string `json:"platform"` // system/architecture
}

// newVersionCommand says what was built, with what, and for which platform: the first thing that a bug report needs.
func newVersionCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := build{Version: a.version(), Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
			return a.show(view{
				data: b, names: []string{b.Version}, people: sentence("gwctl %s (%s, %s)", b.Version, b.Go, b.Platform),
			})
		},
	}
}

// version is what the linker said, else what the module's build information says.
func (a *app) version() string {
	if a.io.Version != "" {
		return a.io.Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "dev"
}
