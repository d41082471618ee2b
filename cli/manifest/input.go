package manifest

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// Bounds of the input. They are far above what people write and keep a hostile file from costing more than a moment.
const (
	maxBytes = 4 << 20   // of one file
	maxNodes = 1_000_000 // of one file, each use of an alias counted
	maxDepth = 64        // of nesting
	maxKeys  = 20_000    // of one YAML document in block style, for which the parser takes quadratic time
	maxFiles = 10_000    // of one folder
)

// stdinName stands for standard input, in paths and in problems.
const stdinName = "-"

// input is one file's content.
type input struct {
	file string
	data []byte
}

// readAll reads every path in turn; a file that is named twice, say by itself and by its folder, is read once. All is
// read before anything is parsed, so that a path that does not exist is told before any other problem.
func readAll(paths []string, stdin io.Reader) ([]input, error) {
	var inputs []input
	seen := make(map[string]bool)
	// Standard input is a file like any other here, and is read once as well.
	for _, path := range paths {
		files, err := expand(path)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if seen[filepath.Clean(file)] {
				continue
			}
			seen[filepath.Clean(file)] = true
			in, err := readInput(file, stdin)
			if err != nil {
				return nil, err
			}
			inputs = append(inputs, in)
		}
	}
	return inputs, nil
}

// expand lists the manifests of a folder, sorted; any other path stands for itself. Hidden files are left out: they are
// editors' copies, seed files, and the ..data links of mounted volumes.
func expand(path string) ([]string, error) {
	if path == stdinName {
		return []string{path}, nil
	}
	stat, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading manifests: %w", err)
	}
	if !stat.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("reading folder: %w", err)
	}
	var files []string
	for _, entry := range entries {
		if isManifest(path, entry) {
			files = append(files, filepath.Join(path, entry.Name()))
		}
	}
	// A folder without manifests is a typing error far more often than the wish for an empty configuration, and under
	// `gwctl up` it would delete everything.
	if len(files) == 0 || len(files) > maxFiles {
		return nil, Problems{{File: path, Message: fmt.Sprintf("the folder holds %d manifests (*.yaml, *.yml, *.json), want 1 to %d", len(files), maxFiles)}}
	}
	return files, nil
}

// isManifest says whether an entry of a folder is read: by its name, and only if it is a file or a link to one.
func isManifest(folder string, entry os.DirEntry) bool {
	name := entry.Name()
	if strings.HasPrefix(name, ".") || !isYAML(name) && !isJSON(name) {
		return false
	}
	stat, err := os.Stat(filepath.Join(folder, name))
	return err != nil || !stat.IsDir() // what cannot be looked at is told when it is read
}

// isYAML and isJSON go by the name alone.
func isYAML(file string) bool {
	ext := strings.ToLower(filepath.Ext(file))
	return ext == ".yaml" || ext == ".yml"
}

func isJSON(file string) bool { return strings.EqualFold(filepath.Ext(file), ".json") }

// readInput reads one file, or standard input, up to one byte more than the bound, so that parse can tell.
func readInput(file string, stdin io.Reader) (input, error) {
	if file == stdinName {
		// The zero IO of a test has no standard input; it is empty then.
		if stdin == nil {
			stdin = strings.NewReader("")
		}
		return readFrom(file, stdin)
	}
	f, err := os.Open(file)
	if err != nil {
		return input{}, fmt.Errorf("reading file: %w", err)
	}
	defer f.Close()
	return readFrom(file, f)
}

// readFrom reads without asking for the size first: a pipe has none, and a file may grow meanwhile.
func readFrom(file string, r io.Reader) (input, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return input{}, fmt.Errorf("reading %s: %w", file, err)
	}
	// Editors of one vendor begin files with a byte order mark, which is part of neither format.
	return input{file: file, data: bytes.TrimPrefix(data, []byte("\ufeff"))}, nil
}

// parse makes documents of the content: JSON where the name says so, or where a name that says nothing (standard input, a
// pipe) holds what begins as JSON; YAML otherwise. Documents without content are left out.
func (in input) parse() ([]*document, Problems) {
	if problem := in.check(); problem != nil {
		return nil, Problems{*problem}
	}
	if isJSON(in.file) || !isYAML(in.file) && bytes.HasPrefix(bytes.TrimSpace(in.data), []byte("{")) {
		return in.parseJSON()
	}
	return in.parseYAML()
}

// check refuses what is too large, or is no text at all. Both formats demand UTF-8; the JSON decoder would put a
// replacement character in the place of a wrong byte, and the name of a tool would no longer be the name of that tool.
func (in input) check() *Problem {
	if len(in.data) > maxBytes {
		return &Problem{File: in.file, Message: fmt.Sprintf("file is larger than %d MiB", maxBytes>>20)}
	}
	if utf8.Valid(in.data) && bytes.IndexByte(in.data, 0) < 0 {
		return nil
	}
	at := 0 // of the first byte that is at fault
	for at < len(in.data) && in.data[at] != 0 {
		r, size := utf8.DecodeRune(in.data[at:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		at += size
	}
	p := in.at(at, "file is not UTF-8 text")
	return &p
}

// at makes a problem of a place given as an offset.
func (in input) at(offset int, message string) Problem {
	line, column := position(in.data, offset)
	return Problem{File: in.file, Line: line, Column: column, Message: message}
}

// position counts lines, and characters within the line, both from 1.
func position(data []byte, offset int) (line, column int) {
	before := data[:min(max(offset, 0), len(data))]
	line = bytes.Count(before, []byte("\n")) + 1
	column = utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return line, column
}
