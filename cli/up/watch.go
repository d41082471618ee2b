package up

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// settle is how long after the first sign of a change the files are read, so that an editor can finish.
	settleTime = 40 * time.Millisecond
	// glance is how often the files are looked at without any sign: file systems on networks give none.
	glance = time.Second
)

// watcher tells when files may have changed. It watches folders rather than files, since most editors put a new file in
// the old one's place, and mounted volumes swap a link beside it.
type watcher struct {
	fs      *fsnotify.Watcher
	paths   []string
	watched map[string]bool
	last    string // the state of the files that was last told
}

// newWatcher begins to watch, so that no change after it is missed.
func newWatcher(paths []string) (*watcher, error) {
	fs, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watching files: %w", err)
	}
	w := &watcher{fs: fs, paths: paths, watched: make(map[string]bool)}
	w.arm()
	w.last = w.state()
	return w, nil
}

// run calls changed after each change of the files, and after each signal whether they changed or not, until ctx ends.
func (w *watcher) run(ctx context.Context, signals <-chan os.Signal, changed func(asked bool)) error {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	settled := time.NewTimer(settleTime)
	settled.Stop()
	waiting := false
	for {
		select {
		case <-ctx.Done():
			return w.fs.Close()
		case <-w.fs.Events:
			// The first sign starts the clock and later ones do not push it on: in a folder that is always busy the files
			// would never be read.
			if !waiting {
				waiting = true
				settled.Reset(settleTime)
			}
			continue
		case _, ok := <-w.fs.Errors: // events were lost: look, since nobody knows which
			if !ok {
				return errors.New("watching files: the watch ended")
			}
		case <-tick.C:
		case <-settled.C:
			waiting = false
		case <-signals:
			w.arm()
			w.last = w.state()
			changed(true)
			continue
		}
		w.look(changed)
	}
}

// look compares the files with how they last were. A new state is remembered before it is told: what changes meanwhile is
// then a new one.
func (w *watcher) look(changed func(asked bool)) {
	w.arm()
	now := w.state()
	if now == w.last {
		return
	}
	w.last = now
	changed(false)
}

// arm watches the folders of the paths and of what they lead to. Links may lead elsewhere since the last time.
func (w *watcher) arm() {
	for _, p := range w.paths {
		for _, dir := range folders(p) {
			if w.watched[dir] && w.watches(dir) {
				continue
			}
			// A folder that is not there is looked for again at every glance.
			w.watched[dir] = w.fs.Add(dir) == nil
		}
	}
}

// watches says whether a folder is still watched: one that was removed and made anew is not.
func (w *watcher) watches(dir string) bool {
	return slices.Contains(w.fs.WatchList(), dir)
}

// folders are those in which a change of a path can show: its own, that of the file it leads to, and itself if it is one.
func folders(path string) []string {
	out := []string{filepath.Dir(path)}
	if target, err := filepath.EvalSymlinks(path); err == nil && target != filepath.Clean(path) {
		out = append(out, filepath.Dir(target))
	}
	if stat, err := os.Stat(path); err == nil && stat.IsDir() {
		out = append(out, path)
	}
	return out
}

// state is equal for two looks at unchanged files.
func (w *watcher) state() string {
	var b strings.Builder
	for _, p := range w.paths {
		describe(&b, p)
		// Of a folder, also the entries count that are no manifests: which are is for the manifest package to say.
		entries, err := os.ReadDir(p)
		if err != nil {
			continue // a file, or nothing
		}
		for _, e := range entries {
			describe(&b, filepath.Join(p, e.Name()))
		}
	}
	return b.String()
}

// describe writes what tells one content of a file from another: where it lies, its size and its time.
func describe(b *strings.Builder, path string) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		fmt.Fprintf(b, "%s %t\n", path, errors.Is(err, os.ErrNotExist))
		return
	}
	stat, err := os.Stat(target)
	if err != nil || stat.IsDir() {
		fmt.Fprintf(b, "%s folder %v\n", target, err)
		return
	}
	fmt.Fprintf(b, "%s %d %d\n", target, stat.Size(), stat.ModTime().UnixNano())
}
