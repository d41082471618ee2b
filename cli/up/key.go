package up

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gatehouse-mcp/gatehouse/cli/apikey"
	gatehousev1 "github.com/gatehouse-mcp/gatehouse/gen/gatehouse/v1"
)

// owner marks the objects that up manages; credential is the object of the key that it makes.
const (
	owner         = "up"
	credential    = "up"
	credentialRef = "credentials/" + credential
)

// key is the API key of this installation.
type key struct {
	file  string
	value string
	fresh bool // made by this run
	given bool // the store has had its credential since this run began
}

// loadKey reads the key of an earlier run, or makes one if it is needed. The file is for its owner alone.
func loadKey(dir string, needed bool) (*key, error) {
	k := &key{file: filepath.Join(dir, "key")}
	data, err := os.ReadFile(k.file)
	switch {
	case err == nil && strings.TrimSpace(string(data)) != "":
		k.value = strings.TrimSpace(string(data))
		return k, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("reading key: %w", err)
	case !needed:
		return nil, nil
	}
	return k, k.renew()
}

// renew makes a new key and keeps it, whole or not at all.
func (k *key) renew() error {
	k.value, k.fresh, k.given = apikey.New(), true, false
	// The credential follows; a key on disk that the store does not know yet is refused, the other order would lose it.
	tmp := k.file + ".new"
	if err := os.WriteFile(tmp, []byte(k.value+"\n"), 0o600); err != nil {
		return fmt.Errorf("keeping key: %w", err)
	}
	if err := os.Rename(tmp, k.file); err != nil {
		return fmt.Errorf("keeping key: %w", err)
	}
	return nil
}

// object is the credential, bound to every agent of the files; nil where there is none to act as.
func (k *key) object(agents []string) *gatehousev1.Object {
	if len(agents) == 0 {
		return nil
	}
	return &gatehousev1.Object{Name: credential, Spec: &gatehousev1.Object_Credential{Credential: &gatehousev1.Credential{
		ApiKey: &gatehousev1.ApiKey{Sha256: apikey.Digest(k.value)}, Agents: agents,
	}}}
}

// settle finds out at start whether the key is still good. One that was revoked while nothing ran stays revoked: a new one
// takes its place.
func (k *key) settle(ctx context.Context, client gatehousev1.AdminServiceClient) error {
	if k.fresh { // nobody can have revoked it yet
		return nil
	}
	known, revision, err := stored(ctx, client)
	if err != nil || known || revision == 0 {
		return err
	}
	return k.renew()
}

// revoked says that somebody took the key out of service while up runs. It must not come back with the next edit.
func (k *key) revoked(ctx context.Context, client gatehousev1.AdminServiceClient) (bool, error) {
	if !k.given { // it is not in the store because up has not put it there
		return false, nil
	}
	known, _, err := stored(ctx, client)
	return !known && err == nil, err
}

// stored looks for the credential in the newest revision.
func stored(ctx context.Context, client gatehousev1.AdminServiceClient) (known bool, revision int64, err error) {
	resp, err := client.Get(ctx, &gatehousev1.GetRequest{Kind: "credentials"})
	if status.Code(err) == codes.NotFound {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, fmt.Errorf("reading credentials: %w", err)
	}
	for _, o := range resp.GetObjects() {
		if o.GetName() == credential {
			return true, resp.GetRevision(), nil
		}
	}
	return false, resp.GetRevision(), nil
}
