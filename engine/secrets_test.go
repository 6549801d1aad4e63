package engine_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// TestSealedStore: with a passphrase no secret key is ever on disk in the clear,
// and nothing is signed without it.
func TestSealedStore(t *testing.T) {
	fs := vfs.NewMem()
	open := func(passphrase string) (*engine.Store, error) {
		o := &engine.Options{FS: fs}
		if passphrase != "" {
			o.Passphrase = []byte(passphrase)
		}
		return engine.Open("store", o)
	}
	s, err := open("open sesame")
	if err != nil {
		t.Fatal(err)
	}
	if !s.Sealed() {
		t.Error("not sealed")
	}
	pair := newPair(1)
	o := &engine.CreateOptions{Name: "mine"}
	o.SecretKey = &pair.Secret
	f := createFeed(t, s, o)
	mustAppend(t, f, []byte("x"))
	if sk, err := s.ExportSecret(f.DiscoveryKey()); err != nil || sk != pair.Secret {
		t.Errorf("export: %v", err)
	}
	checkClean(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if inFiles(t, fs, pair.Secret[:32]) {
		t.Error("the seed of the secret key is on disk")
	}
	if inFiles(t, fs, []byte("open sesame")) {
		t.Error("the passphrase is on disk")
	}

	before := listing(t, fs)
	_, err = open("open barley")
	mustFail(t, err, engine.ErrSealed)
	if s, err = open("open sesame"); err != nil {
		t.Fatalf("a wrong passphrase has spoiled the store: %v\nbefore:\n%s", err, before)
	}
	s.Close()

	// Without the passphrase feeds can be read, and seem writable until they write.
	if s, err = open(""); err != nil {
		t.Fatal(err)
	}
	if f, err = s.Open(t.Context(), pair.Public, nil); err != nil {
		t.Fatal(err)
	}
	b, err := f.Get(t.Context(), 0, nil)
	mustBlock(t, outcome[[]byte]{b, err}, []byte("x"))
	_, err = f.Append(t.Context(), []byte("y"))
	mustFail(t, err, engine.ErrSealed)
	_, err = s.ExportSecret(f.DiscoveryKey())
	mustFail(t, err, engine.ErrSealed)
	_, err = f.NewView(t.Context(), true)
	mustFail(t, err, engine.ErrSealed)
	_, err = s.Create(t.Context(), nil)
	mustFail(t, err, engine.ErrSealed)
	mustFail(t, s.SealSecrets([]byte("mine now")), engine.ErrSealed)
	mustFail(t, s.ImportSecret(t.Context(), newPair(2).Secret), engine.ErrSealed)
	if f.Length() != 1 {
		t.Errorf("length %d", f.Length())
	}
	checkClean(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = open("open sesame"); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if f, err = s.Open(t.Context(), pair.Public, nil); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mustAppend(t, f, []byte("y"))
}

// TestSealSecrets: sealing, and sealing anew, leaves no key in the clear or under
// the old passphrase in any file.
func TestSealSecrets(t *testing.T) {
	fs := vfs.NewMem()
	open := func(passphrase []byte) (*engine.Store, error) {
		return engine.Open("store", &engine.Options{FS: fs, Passphrase: passphrase})
	}
	s, err := open(nil)
	if err != nil {
		t.Fatal(err)
	}
	if s.Sealed() {
		t.Error("sealed without a passphrase")
	}
	var pairs []tree.KeyPair
	for i := range 20 {
		pairs = append(pairs, newPair(byte(i+1)))
		o := &engine.CreateOptions{}
		o.SecretKey = &pairs[i].Secret
		f := createFeed(t, s, o)
		mustAppend(t, f, []byte("x"))
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !inFiles(t, fs, pairs[3].Secret[:32]) {
		t.Error("the test looks in the wrong place")
	}
	if err := s.SealSecrets(nil); err == nil {
		t.Error("an empty passphrase was taken")
	}
	for _, passphrase := range []string{"first", "second"} {
		if err := s.SealSecrets([]byte(passphrase)); err != nil {
			t.Fatal(err)
		}
		if !s.Sealed() {
			t.Error("not sealed")
		}
		for i := range pairs {
			if sk, err := s.ExportSecret(pairs[i].Public.DiscoveryKey()); err != nil || sk != pairs[i].Secret {
				t.Fatalf("key %d: %v", i, err)
			}
		}
		checkClean(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for i := range pairs {
			if inFiles(t, fs, pairs[i].Secret[:32]) {
				t.Errorf("after sealing with %q key %d is on disk in the clear", passphrase, i)
			}
		}
		_, err = open([]byte("other"))
		mustFail(t, err, engine.ErrSealed)
		if s, err = open([]byte(passphrase)); err != nil {
			t.Fatal(err)
		}
	}
	defer s.Close()
	_, err = open([]byte("first"))
	if !errors.Is(err, engine.ErrStoreLocked) {
		t.Errorf("%v", err)
	}
	if f, err := s.Open(t.Context(), pairs[0].Public, nil); err != nil {
		t.Error(err)
	} else {
		mustAppend(t, f, []byte("y"))
		f.Close()
	}
}

// TestPassphraseForPlainStore: a passphrase for a store without a seal is refused:
// the caller believes that something is protected that is not.
func TestPassphraseForPlainStore(t *testing.T) {
	fs := vfs.NewMem()
	s, err := engine.Open("store", &engine.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := engine.Open("store", &engine.Options{FS: fs, Passphrase: []byte("x")}); err == nil {
		t.Error("a passphrase was taken for a store that is not sealed")
	}
}

// TestSealWhileCreating: feeds that are made while the seal changes keep their keys.
func TestSealWhileCreating(t *testing.T) {
	fs := vfs.NewMem()
	s, err := engine.Open("store", &engine.Options{FS: fs, Passphrase: []byte("zero")})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var keys [3][]tree.PublicKey
	for w := range keys {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				f, err := s.Create(t.Context(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := f.Append(t.Context(), []byte("x")); err != nil {
					t.Errorf("append while the seal changes: %v", err)
				}
				s.Sealed()
				keys[w] = append(keys[w], f.Key())
				f.Close()
			}
		})
	}
	for i := range 2 {
		if err := s.SealSecrets(fmt.Append(nil, i)); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = engine.Open("store", &engine.Options{FS: fs, Passphrase: []byte("1")}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	checkClean(t, s)
	lost := 0
	for _, list := range keys {
		for _, key := range list {
			if sk, err := s.ExportSecret(key.DiscoveryKey()); err != nil || sk.Public() != key {
				lost++
			}
		}
	}
	if lost > 0 {
		t.Errorf("%d secret keys are lost", lost)
	}
}
