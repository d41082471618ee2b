package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

// showHelp is what a command without work of its own does. A script that asks it for data has forgotten a word, and must
// not read a help text as an answer.
func showHelp(cmd *cobra.Command, _ []string) error {
	if f := cmd.Flag("output"); f.Changed && f.Value.String() != formatTable {
		return fail(codeUsage, fmt.Errorf("no command given after %s", cmd.CommandPath()), "`"+cmd.CommandPath()+" --help` lists them")
	}
	return cmd.Help()
}

// noSubcommand refuses words after a command that only groups others.
func noSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usagef("%s has no command %s", cmd.CommandPath(), args[0])
}

// helpTopics are pages that belong to no command: `gwctl help environment`.
func helpTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: "environment", Short: "variables that gwctl reads", Long: environmentHelp},
		{Use: "exit-codes", Short: "what the exit codes say", Long: exitCodesHelp},
	}
}

// environmentHelp lists the variables that people set; the rule in its first line covers all others.
const environmentHelp = `Every flag has an environment variable: GWCTL_ and the flag's name in capitals, with _ for -.
What is on the command line comes first, then the environment, then the context, then the default.

  GWCTL_CONTROL_PLANE   address of the control plane
  GWCTL_GATEWAY         MCP URL of a gateway
  GWCTL_KEY             API key for the gateway
  GWCTL_KEY_FILE        file that holds it
  GWCTL_CONTEXT         context to use instead of the current one
  GWCTL_OUTPUT          table, wide, json, yaml or name
  GWCTL_TIMEOUT         longest time to wait for an answer, such as 10s
  NO_COLOR              any value: no colours
  XDG_CONFIG_HOME       folder of gwctl/config.yaml, which holds the contexts (default ~/.config)
  GATEHOUSE_GWCTL       the gwctl that "gwctl up" starts demo servers with (default: itself)`

// exitCodesHelp is exit.go for people.
const exitCodesHelp = `    0  it is done
    1  it went wrong, or the command was not understood
    2  there is a difference, access is denied, or not all proxies are there:
       diff, explain --exit-code, status --exit-code, and every --wait
    3  the key is missing or wrong
    4  the control plane or the gateway cannot be reached, or did not answer in time
    5  the tool failed, or the gateway refused the call
    6  somebody else changed the configuration meanwhile, or the object exists already
    7  the configuration is wrong
  130  interrupted

With -o json a failure prints one line on standard error:
  {"error":{"code","message","hint","details":[{"file","line","column","field","message"}]}}
where code is one of usage, unauthenticated, unreachable, tool, conflict, validation, internal.`
