package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/gatehouse-mcp/gatehouse/cli/manifest"
)

// The forms of output.
const (
	formatTable = "table"
	formatWide  = "wide"
	formatJSON  = "json"
	formatYAML  = "yaml"
	formatName  = "name"
)

// formats are all of them, in the order they are offered.
var formats = []string{formatTable, formatWide, formatJSON, formatYAML, formatName}

// view is one answer in every form that can be asked for.
type view struct {
	// data is what JSON and YAML print. Its shape is a promise to scripts.
	data any
	// names are the lines of -o name.
	names []string
	// people prints for people; wide asks for more columns.
	people func(w io.Writer, wide bool) error
}

// show prints a view on standard output in the form that was asked for.
func (a *app) show(v view) error {
	switch a.output {
	case formatJSON:
		return writeJSON(a.io.Stdout, v.data)
	case formatYAML:
		return writeYAML(a.io.Stdout, v.data)
	case formatName:
		return writeLines(a.io.Stdout, v.names)
	}
	return v.people(a.io.Stdout, a.output == formatWide)
}

// writeJSON prints one indented document. Raw messages inside keep their order of keys.
func writeJSON(w io.Writer, data any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // nobody pastes it into a web page, and people read it
	enc.SetIndent("", "  ")
	if err := enc.Encode(data); err != nil {
		return fmt.Errorf("printing JSON: %w", err)
	}
	return nil
}

// writeYAML prints what writeJSON would, as YAML.
func writeYAML(w io.Writer, data any) error {
	out, err := manifest.EncodeYAML(data)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// writeLines prints one line each.
func writeLines(w io.Writer, lines []string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// grid is rows for people, aligned in columns.
type grid struct {
	header []string
	rows   [][]string
	// narrow is how many columns are shown unless the wide form is asked for; 0 means all.
	narrow int
}

// row adds one row; empty cells print as a dash, so that columns stay columns.
func (g *grid) row(cells ...string) {
	for i, c := range cells {
		if c == "" {
			cells[i] = "-"
		}
	}
	g.rows = append(g.rows, cells)
}

// write prints the grid, or says that there is nothing.
func (g *grid) write(w io.Writer, wide bool) error {
	if len(g.rows) == 0 {
		_, err := fmt.Fprintln(w, "nothing found")
		return err
	}
	n := len(g.header)
	if !wide && g.narrow > 0 {
		n = g.narrow
	}
	// Two spaces between columns and no lines around them: output that greps and cuts well.
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range append([][]string{g.header}, g.rows...) {
		fmt.Fprintln(tw, strings.Join(r[:n], "\t"))
	}
	return tw.Flush()
}
