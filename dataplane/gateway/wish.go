package gateway

import (
	"errors"

	"github.com/gatehouse-mcp/gatehouse/dataplane/mcp"
	"github.com/gatehouse-mcp/gatehouse/dataplane/policy"
)

// The members of what a modern agent asks to hear of.
const (
	memberNotifications = "notifications"
	memberURIs          = "resourceSubscriptions"
)

// wish is what a legacy agent would ask of a modern server: all lists, and the resources that it subscribed to.
func wish(uris []string) []byte {
	dst := []byte(`{"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true`)
	for i, uri := range uris {
		sep := `,`
		if i == 0 {
			sep = `,"resourceSubscriptions":[`
		}
		dst = mcp.AppendString(append(dst, sep...), uri)
	}
	if len(uris) > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}', '}')
}

// mayHear returns those of some resources that the agent may hear of; the others are treated as if nobody had asked.
func mayHear(agent *policy.Agent, server string, uris []string) []string {
	var out []string
	for _, uri := range uris {
		if agent.May(policy.Resources, server, uri).Allow {
			out = append(out, uri)
		}
	}
	return out
}

// narrowed is the params of a subscription without the resources that the agent may not hear of.
func narrowed(agent *policy.Agent, server string, params []byte) ([]byte, error) {
	return replaced(params, memberNotifications, func(wishes []byte) ([]byte, error) {
		return narrowedWishes(agent, server, wishes)
	})
}

// errNoURIs says that what should be URIs is something else.
var errNoURIs = errors.New("not an array of strings")

// narrowedWishes is what narrowed makes of the wishes in the params.
func narrowedWishes(agent *policy.Agent, server string, wishes []byte) ([]byte, error) {
	return replaced(wishes, memberURIs, func(uris []byte) ([]byte, error) {
		dst := []byte{'['}
		err := mcp.Elements(uris, func(raw []byte) error {
			uri, ok := mcp.Unquote(raw)
			switch {
			case !ok:
				return errNoURIs
			case !agent.May(policy.Resources, server, uri).Allow:
				return nil
			case len(dst) > 1:
				dst = append(dst, ',')
			}
			dst = append(dst, raw...)
			return nil
		})
		return append(dst, ']'), err
	})
}

// replaced is an object with another value for one of its members, where it has that.
func replaced(object []byte, name string, value func([]byte) ([]byte, error)) ([]byte, error) {
	dst := append(make([]byte, 0, len(object)), '{')
	err := mcp.Members(object, func(raw, old []byte) (err error) {
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		if plain, _ := mcp.Unquote(raw); plain == name {
			if old, err = value(old); err != nil {
				return err
			}
		}
		dst = append(append(append(dst, raw...), ':'), old...)
		return nil
	})
	return append(dst, '}'), err
}
