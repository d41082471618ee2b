package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
	"github.com/gatehouse-mcp/gatehouse/cli/up"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// Where a control plane and a gateway listen unless told otherwise.
const (
	defaultControlPlane = "127.0.0.1:9090"
	defaultGateway      = "http://127.0.0.1:8080/mcp"
)

// app is one run of gwctl: its streams, its global flags and its connection. Commands take it and keep nothing else.
type app struct {
	io   IO
	env  map[string]string
	conn *grpc.ClientConn

	// started is set once flags and arguments are understood; an error before that is one of usage.
	started bool

	// The global flags, after environment and context file have filled what the command line left open.
	controlPlane string
	gateway      string
	key          string
	keyFile      string
	context      string
	output       string
	timeout      time.Duration
	noColor      bool
}

// newApp takes the streams; nil ones are empty.
func newApp(streams IO) *app {
	if streams.Stdin == nil {
		streams.Stdin = strings.NewReader("")
	}
	if streams.Stdout == nil {
		streams.Stdout = io.Discard
	}
	if streams.Stderr == nil {
		streams.Stderr = io.Discard
	}
	a := &app{io: streams, env: make(map[string]string)}
	for _, kv := range streams.Env { // a later entry wins, as in a process
		if k, v, ok := strings.Cut(kv, "="); ok {
			a.env[k] = v
		}
	}
	return a
}

// close ends the connection to the control plane, if there is one.
func (a *app) close() {
	if a.conn != nil {
		_ = a.conn.Close() // nothing is in flight any more
	}
}

// globalFlags declares the flags that every command has.
func (a *app) globalFlags(f *pflag.FlagSet) {
	f.StringVar(&a.controlPlane, "control-plane", defaultControlPlane, "address of the control plane")
	f.StringVar(&a.gateway, "gateway", defaultGateway, "MCP URL of a gateway, for call and stdio")
	f.StringVar(&a.key, "key", "", "API key for the gateway; better in GWCTL_KEY or a file than on a command line")
	f.StringVar(&a.keyFile, "key-file", "", "file that holds the API key")
	f.StringVar(&a.context, "context", "", "context to use instead of the current one")
	f.StringVarP(&a.output, "output", "o", formatTable, "table, wide, json, yaml or name")
	f.DurationVar(&a.timeout, "timeout", 10*time.Second, "longest time to wait for an answer")
	f.BoolVar(&a.noColor, "no-color", false, "no colours, also where the output is a terminal")
}

// start runs before every command: flags first, then environment, then the context file, then defaults.
func (a *app) start(cmd *cobra.Command, _ []string) error {
	if err := a.flagsFromEnv(cmd); err != nil {
		return err
	}
	if err := a.flagsFromContext(cmd); err != nil {
		return err
	}
	if !slices.Contains(formats, a.output) {
		return usagef("--output %s: want one of %s", a.output, strings.Join(formats, ", "))
	}
	if a.timeout <= 0 { // what it does in other tools, no limit at all, would leave scripts hanging
		return usagef("--timeout %s: want more than 0", a.timeout)
	}
	a.started = true
	return nil
}

// flagsFromEnv gives GWCTL_<FLAG> to every flag that the command line leaves open. Where a command has its own flag
// under the name of a global one, the variable is the global one's.
func (a *app) flagsFromEnv(cmd *cobra.Command) error {
	var errs []error
	global := cmd.Root().PersistentFlags()
	set := func(f *pflag.Flag) {
		// An empty variable counts as unset, as scripts use it: GWCTL_KEY= gwctl …
		v := a.env[envName(f.Name)]
		if v == "" || f.Changed {
			return
		}
		if err := f.Value.Set(v); err != nil {
			errs = append(errs, fmt.Errorf("reading %s: %w", envName(f.Name), err))
			return
		}
		f.Changed = true // commands that ask whether a flag was given mean the variable as well
	}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if global.Lookup(f.Name) == nil && f.Name != "help" {
			set(f)
		}
	})
	global.VisitAll(set)
	return errors.Join(errs...)
}

// envName is the variable of a flag: GWCTL_CONTROL_PLANE for --control-plane.
func envName(flag string) string {
	return "GWCTL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// usageFailure is an error from before the command ran. The flags may not have been read as far as -o, so that is
// looked for again.
func (a *app) usageFailure(root *cobra.Command, args []string, err error) error {
	if wantsJSON(args) || a.env[envName("output")] == formatJSON {
		a.output = formatJSON
	}
	hint := "`gwctl --help` lists the commands"
	// The nearest command whose help answers the question.
	if cmd, _, findErr := root.Find(args); findErr == nil && cmd != root {
		hint = fmt.Sprintf("`%s --help` shows how it is used", cmd.CommandPath())
	}
	if _, ok := errors.AsType[*failure](err); ok {
		return err
	}
	return fail(codeUsage, err, hint)
}

// wantsJSON looks for -o json in arguments that may not be readable as a whole.
func wantsJSON(args []string) bool {
	for i, arg := range args {
		switch arg {
		case "-ojson", "-o=json", "--output=json":
			return true
		case "-o", "--output":
			if i+1 < len(args) && args[i+1] == formatJSON {
				return true
			}
		}
	}
	return false
}

// admin returns a client of the control plane. Nothing is dialled before the first call.
func (a *app) admin() (gatehousev1.AdminServiceClient, error) {
	if a.conn == nil {
		// Checked here, since gRPC reports a wrong address as a control plane that cannot be reached.
		if _, _, err := net.SplitHostPort(a.controlPlane); err != nil {
			return nil, usagef("--control-plane %s: want HOST:PORT", a.controlPlane)
		}
		// Passthrough: the address is dialled as it stands. Operators' proxies and resolvers have no business on loopback.
		conn, err := grpc.NewClient("passthrough:///"+a.controlPlane, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(up.MaxAnswer)))
		if err != nil {
			return nil, fmt.Errorf("dialling control plane %s: %w", a.controlPlane, err)
		}
		a.conn = conn
	}
	return gatehousev1.NewAdminServiceClient(a.conn), nil
}

// within bounds one exchange by --timeout.
func (a *app) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, a.timeout)
}

// author names who runs gwctl, for the history: user@host as far as they are known.
func (a *app) author() string {
	name := a.env["USER"]
	if name == "" { // as in containers and cron jobs
		if u, err := user.Current(); err == nil {
			name = u.Username
		}
	}
	if name == "" { // a container may run under an id that has no name at all
		name = "uid-" + strconv.Itoa(os.Getuid())
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		return name
	}
	return name + "@" + host
}

// warnf prints one line of something to look at on standard error.
func (a *app) warnf(format string, args ...any) {
	fmt.Fprintf(a.io.Stderr, a.paint(a.io.Stderr, yellow, "warning:")+" "+format+"\n", args...)
}

// report prints a failure: for people as lines, for scripts as one JSON line.
func (a *app) report(f *failure) {
	if f.quiet {
		return
	}
	if a.output == formatJSON {
		a.reportJSON(f)
		return
	}
	fmt.Fprintln(a.io.Stderr, a.paint(a.io.Stderr, red, "gwctl:"), f.Error())
	for _, d := range f.details {
		fmt.Fprintln(a.io.Stderr, "  "+d.Error())
	}
	if f.hint != "" {
		fmt.Fprintln(a.io.Stderr, "hint:", f.hint)
	}
}

// reportJSON prints the error line of the contract.
func (a *app) reportJSON(f *failure) {
	type body struct {
		Code    string            `json:"code"`
		Message string            `json:"message"`
		Hint    string            `json:"hint"`
		Details manifest.Problems `json:"details"`
	}
	b := body{Code: f.code, Message: f.Error(), Hint: f.hint, Details: f.details}
	if b.Details == nil {
		b.Details = manifest.Problems{}
	}
	enc := json.NewEncoder(a.io.Stderr)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(map[string]body{"error": b}); err != nil {
		fmt.Fprintln(a.io.Stderr, err) // there is no other place to say it
	}
}

// The colours that words are painted in; every one of them stands beside a word that says the same.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
)

// paint colours text where the stream is a terminal and nobody asked for none.
func (a *app) paint(w io.Writer, colour, text string) string {
	if a.noColor || a.env["NO_COLOR"] != "" || a.env["TERM"] == "dumb" || !isTerminal(w) {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// isTerminal says whether a person is looking at the stream.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// environ looks up one variable of the run.
func (a *app) environ(name string) (string, bool) {
	v, ok := a.env[name]
	return v, ok
}

// sortedKeys are the keys of a map in the order they are printed in.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// fileFlag declares -f, which names manifests: files, folders, or - for standard input.
func fileFlag(cmd *cobra.Command, into *[]string) {
	cmd.Flags().StringArrayVarP(into, "file", "f", nil, "manifest: a file, a folder, or - for standard input (repeatable)")
}
