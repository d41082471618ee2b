package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store/bolt"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// backedUp is the answer of backup and restore.
type backedUp struct {
	// Revision is the newest one in the backup.
	Revision int64 `json:"revision"`
	// File is the backup.
	File string `json:"file"`
	// DataDir is where it was restored to.
	DataDir string `json:"dataDir,omitempty"`
}

// newBackupCommand copies the store through the control plane, which holds its lock; copying the file beside it would take
// a torn page sooner or later.
func newBackupCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "write a consistent copy of the running store to a file",
		Long: "backup copies the store while it runs. The file holds the hashes of API keys and the key that signs\n" +
			"session ids, so it is made for its owner alone (mode 0600). It is complete, or it is not there.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			rev, err := a.backup(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return a.show(view{
				data: backedUp{Revision: rev, File: args[0]}, names: args,
				people: sentence("revision %d written to %s", rev, args[0]),
			})
		},
	}
}

// sentence is a form for people that is one line.
func sentence(format string, args ...any) func(io.Writer, bool) error {
	return func(w io.Writer, _ bool) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	}
}

// backup writes beside the file and renames when all of it is there and on disk.
func (a *app) backup(ctx context.Context, file string) (rev int64, err error) {
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return 0, fmt.Errorf("writing backup: %w", err)
	}
	// The name that was asked for appears only with the whole content under it: a backup that is half there would be found
	// out on the day it is needed.
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name()) // the first error is the one to tell
		}
	}()
	rev, err = a.receiveBackup(ctx, tmp)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return 0, fmt.Errorf("writing backup: %w", err)
	}
	return rev, nil
}

// receiveBackup copies the stream and checks its digest. The time limit of other calls would be wrong here, since a
// store may be large; a silent control plane is noticed by gRPC.
func (a *app) receiveBackup(ctx context.Context, w io.Writer) (int64, error) {
	client, err := a.admin()
	if err != nil {
		return 0, err
	}
	stream, err := client.Backup(ctx, &gatehousev1.BackupRequest{})
	if err != nil {
		return 0, err
	}
	sum := sha256.New()
	for {
		part, err := stream.Recv()
		if err != nil {
			return 0, fmt.Errorf("reading backup: %w", err)
		}
		if _, err := io.MultiWriter(w, sum).Write(part.GetData()); err != nil {
			return 0, fmt.Errorf("writing backup: %w", err)
		}
		if len(part.GetSha256()) > 0 { // only the last message has it
			return part.GetRevision(), checkSum(sum, part.GetSha256())
		}
	}
}

// checkSum refuses a copy that is not what was sent.
func checkSum(got hash.Hash, want []byte) error {
	if sum := got.Sum(nil); string(sum) != string(want) {
		return fmt.Errorf("checking backup: digest is %x, want %x", sum, want)
	}
	return nil
}

// newRestoreCommand works on files alone: a control plane that has lost its store does not run.
func newRestoreCommand(a *app) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "restore FILE --data-dir DIR",
		Short: "make a store from a backup, for a control plane that does not run",
		Long: "restore checks every revision in the backup and makes a store of it in a folder that holds none.\n" +
			"The store's epoch grows, so proxies take its revisions even where they have seen higher numbers.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				return usagef("no folder given: --data-dir names the one that gwcontrol will be started with")
			}
			rev, err := restore(cmd.Context(), args[0], dir)
			if errors.Is(err, bolt.ErrNotEmpty) {
				return fail(codeUsage, err, "restore into a new folder, and start gwcontrol with that one")
			}
			if err != nil {
				return err
			}
			return a.show(view{
				data: backedUp{Revision: rev, File: args[0], DataDir: dir}, names: []string{"revisions/" + strconv.FormatInt(rev, 10)},
				people: sentence("revision %d restored to %s", rev, dir),
			})
		},
	}
	cmd.Flags().StringVar(&dir, "data-dir", "", "folder of the new store")
	return cmd
}

// restore reads a backup from a file.
func restore(ctx context.Context, file, dir string) (int64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, fmt.Errorf("reading backup: %w", err)
	}
	defer f.Close()
	return bolt.Restore(ctx, f, dir)
}
