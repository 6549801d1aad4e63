package sleep_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/randomaccess/randomaccesstest"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

func TestOpenNew(t *testing.T) {
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	f := open(t, memory.Open, sleep.Options{})
	secret, ok := f.SecretKey()
	if !ok || !f.Writable() || secret.Public() != f.Key() || f.Length() != 0 || !f.Live() {
		t.Errorf("new feed: writable %t, live %t, length %d", f.Writable(), f.Live(), f.Length())
	}
	key := f.Key()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	compareFiles(t, "new", contents(t, memory.Open), map[string][]byte{
		sleep.KeyFile:        key[:],
		sleep.SecretKeyFile:  secret[:],
		sleep.TreeFile:       sleep.AppendTreeHeader(nil),
		sleep.SignaturesFile: sleep.AppendSignaturesHeader(nil),
		sleep.BitfieldFile:   sleep.AppendBitfieldHeader(nil, sleep.DefaultIndexSize),
	})
	again := open(t, memory.Open, sleep.Options{NoCreate: true})
	if got, _ := again.SecretKey(); again.Key() != key || got != secret {
		t.Error("reopened with other keys")
	}
}

// TestOpenRules opens the small feed, changed in some way, with some options.
func TestOpenRules(t *testing.T) {
	small := loadSmall(t)
	secret := small.secret(t)
	files := small.wantFiles(t, "mixed")
	other := tree.KeyPairFromSeed([32]byte{1})

	type content = map[string][]byte
	without := func(names ...string) content {
		c := maps.Clone(files)
		for _, name := range names {
			delete(c, name)
		}
		return c
	}
	with := func(name string, b []byte) content {
		c := maps.Clone(files)
		c[name] = b
		return c
	}
	patched := func(name string, at int, b ...byte) content {
		c := with(name, bytes.Clone(files[name]))
		copy(c[name][at:], b)
		return c
	}
	cut := func(name string, size int) content { return with(name, files[name][:size:size]) }
	nothing := content{}
	var noKey tree.PublicKey

	for _, c := range []struct {
		name  string
		files content
		opts  sleep.Options
		err   error // nil for success, then:

		key      tree.PublicKey
		writable bool
		length   uint64
		recovery sleep.Recovery // but Stored and Length are those of no recovery if zero
	}{
		{name: "stored", files: files, key: small.PublicKey, writable: true, length: 11},
		{name: "same key", files: files, opts: sleep.Options{Key: small.PublicKey}, key: small.PublicKey, writable: true, length: 11},
		{name: "same secret key", files: files, opts: sleep.Options{SecretKey: secret}, key: small.PublicKey, writable: true, length: 11},
		{name: "other key", files: files, opts: sleep.Options{Key: other.Public}, err: sleep.ErrOtherFeed},
		{name: "other secret key", files: files, opts: sleep.Options{SecretKey: other.Secret}, err: sleep.ErrOtherFeed},
		{name: "other key, forced", files: files, opts: sleep.Options{Key: other.Public, Force: true}, key: other.Public},
		{name: "same key, forced", files: files, opts: sleep.Options{Key: small.PublicKey, Force: true}, key: small.PublicKey, writable: true, length: 11},
		{name: "overwrite", files: files, opts: sleep.Options{Key: other.Public, SecretKey: other.Secret, Overwrite: true}, key: other.Public, writable: true},
		{name: "overwrite, same key", files: files, opts: sleep.Options{Key: small.PublicKey, Overwrite: true}, key: small.PublicKey, writable: true},
		{name: "overwrite read-only", files: files, opts: sleep.Options{Overwrite: true, ReadOnly: true}, err: sleep.ErrReadOnly},
		{name: "mismatched pair", files: nothing, opts: sleep.Options{Key: small.PublicKey, SecretKey: other.Secret}, err: errAny},

		{name: "nothing, no create", files: nothing, opts: sleep.Options{NoCreate: true}, err: sleep.ErrNoFeed},
		{name: "nothing, read-only", files: nothing, opts: sleep.Options{ReadOnly: true, Key: other.Public}, err: sleep.ErrNoFeed},
		{name: "nothing, key given", files: nothing, opts: sleep.Options{NoCreate: true, Key: other.Public}, key: other.Public},
		{name: "nothing, must write", files: nothing, opts: sleep.Options{Key: other.Public, MustWrite: true}, err: sleep.ErrNotWritable},
		{name: "no secret key", files: without("secret_key"), key: small.PublicKey, length: 11},
		{name: "no secret key, must write", files: without("secret_key"), opts: sleep.Options{MustWrite: true}, err: sleep.ErrNotWritable},
		{name: "read-only must write", files: files, opts: sleep.Options{ReadOnly: true, MustWrite: true}, err: sleep.ErrNotWritable},
		{name: "partial secret key", files: cut("secret_key", 60), err: sleep.ErrDamaged},
		{name: "partial secret key, given", files: cut("secret_key", 60), opts: sleep.Options{SecretKey: secret}, key: small.PublicKey, writable: true, length: 11},
		{name: "wrong secret key", files: with("secret_key", other.Secret[:]), err: sleep.ErrDamaged},
		{name: "no key", files: without("key"), key: small.PublicKey, writable: true, length: 11},
		{name: "partial key", files: cut("key", 31), key: small.PublicKey, writable: true, length: 11},
		{name: "no keys", files: without("key", "secret_key"), err: sleep.ErrDamaged},
		{name: "no keys, given", files: without("key", "secret_key"), opts: sleep.Options{Key: small.PublicKey}, key: small.PublicKey, length: 11},
		{name: "no keys, other given", files: without("key", "secret_key"), opts: sleep.Options{Key: other.Public}, err: sleep.ErrDamaged},
		{name: "no keys, forced", files: without("key", "secret_key"), opts: sleep.Options{SecretKey: other.Secret, Force: true}, key: other.Public, writable: true},

		{name: "no magic", files: patched("tree", 0, 'S'), err: sleep.ErrUnsupportedVersion},
		{name: "no magic, overwrite", files: patched("tree", 0, 'S'), opts: sleep.Options{SecretKey: other.Secret, Overwrite: true}, key: other.Public, writable: true},
		{name: "swapped files", files: with("tree", files["signatures"]), err: sleep.ErrUnsupportedVersion},
		{name: "version 1", files: patched("signatures", 4, 1), err: sleep.ErrUnsupportedVersion},
		{name: "other entry size", files: patched("tree", 6, 41), err: sleep.ErrUnsupportedVersion},
		{name: "other algorithm", files: patched("signatures", 8, 'X'), err: sleep.ErrUnsupportedVersion},
		{name: "odd page size", files: patched("bitfield", 5, 0x0e, 0x01), err: sleep.ErrUnsupportedVersion},
		{name: "header of zeros", files: patched("bitfield", 0, make([]byte, 32)...), err: sleep.ErrUnsupportedVersion},
		{name: "tree header of zeros", files: patched("tree", 0, make([]byte, 32)...), key: small.PublicKey, writable: true, length: 11},
		{name: "signatures header half written", files: patched("signatures", 5, make([]byte, 27)...), key: small.PublicKey, writable: true, length: 11},
		{name: "headers half written", files: content{
			"bitfield": {5, 2}, "tree": make([]byte, 32), "signatures": append([]byte{5, 2, 0x57, 1}, make([]byte, 20)...),
		}, opts: sleep.Options{Key: other.Public}, key: other.Public},

		// A power failure without syncs, or a lost file.
		{name: "no tree", files: without("tree"), key: small.PublicKey, writable: true, err: sleep.ErrDamaged},
		{
			name: "tree short by a batch", files: cut("tree", 32+40*7), key: small.PublicKey, writable: true, length: 4,
			recovery: sleep.Recovery{Stored: 11, Length: 4},
		},
		{
			name: "root blank", files: patched("tree", 32+40*7, make([]byte, 40)...), key: small.PublicKey, writable: true, length: 4,
			recovery: sleep.Recovery{Stored: 11, Length: 4},
		},
		{
			name: "root wrong", files: patched("tree", 32+40*7, 1, 2, 3), key: small.PublicKey, writable: true, length: 4,
			recovery: sleep.Recovery{Stored: 11, Length: 4},
		},
		{
			name: "root too large", files: patched("tree", 32+40*7+32, 0xff), key: small.PublicKey, writable: true, length: 4,
			recovery: sleep.Recovery{Stored: 11, Length: 4},
		},
		{name: "no signatures", files: without("signatures"), key: small.PublicKey, writable: true, length: 11},
		{
			name: "all signatures wrong", files: with("signatures", append(sleep.AppendSignaturesHeader(nil), bytes.Repeat([]byte{7}, 64*11)...)),
			err: sleep.ErrDamaged,
		},
		{
			name: "no bitfield", files: without("bitfield"), key: small.PublicKey, writable: true, length: 11,
			recovery: sleep.Recovery{Stored: 0, Length: 11},
		},
		{
			name: "bitfield of before", files: patched("bitfield", 32+1024, bitfieldTree(t, 4)...), key: small.PublicKey, writable: true, length: 11,
			recovery: sleep.Recovery{Stored: 4, Length: 11},
		},
		{
			name: "no bitfield, no data", files: without("bitfield", "data"), key: small.PublicKey, writable: true, length: 11,
			recovery: sleep.Recovery{Stored: 0, Length: 11},
		},
		{
			name: "replica without bitfield and data", files: without("bitfield", "data", "secret_key"), key: small.PublicKey, length: 11,
			recovery: sleep.Recovery{Stored: 0, Length: 11},
		},
		{
			name: "overwritten with the same key", files: overlaid(t, &small, files), key: small.PublicKey, writable: true, length: 2,
			recovery: sleep.Recovery{Stored: 2, Length: 2, Behind: true},
		},
		{name: "only keys and data", files: without("bitfield", "tree", "signatures"), key: small.PublicKey, writable: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			memory := stored(t, c.files)
			f, err := sleep.Open(t.Context(), memory.Open, c.opts)
			if c.err != nil {
				if !errors.Is(err, c.err) && c.err != errAny || err == nil {
					t.Fatalf("error %v, want %v", err, c.err)
				}
				compareFiles(t, "refused", contents(t, memory.Open), c.files)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if c.recovery == (sleep.Recovery{}) {
				c.recovery = sleep.Recovery{Stored: c.length, Length: c.length}
			}
			if f.Length() != c.length || f.Recovery() != c.recovery {
				t.Errorf("length %d, recovery %+v, want %d, %+v", f.Length(), f.Recovery(), c.length, c.recovery)
			}
			if c.key != noKey && f.Key() != c.key || f.Writable() != c.writable {
				t.Errorf("key %v, writable %t, want %v, %t", f.Key(), f.Writable(), c.key, c.writable)
			}
			if !f.Writable() {
				return
			}
			// It goes on from there.
			w := newWriter(t, f)
			w.append([]byte("one"), []byte("more"))
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			again := open(t, memory.Open, sleep.Options{Key: f.Key(), MustWrite: true})
			if got, err := again.ReadBlock(nil, c.length+1); err != nil || string(got) != "more" || again.Length() != c.length+2 {
				t.Errorf("after going on: length %d, last block %q, %v", again.Length(), got, err)
			}
			report, err := again.Verify(t.Context(), sleep.VerifyOptions{})
			if err != nil || !report.OK() {
				t.Errorf("after going on: %+v, %v", report, err)
			}
		})
	}
}

// errAny stands for an error that is no sentinel.
var errAny = errors.New("any")

// overlaid returns what is left when a feed was overwritten by another one with
// the same key, without anything being cut off but the bitfield.
func overlaid(t *testing.T, small *smallFeed, files map[string][]byte) map[string][]byte {
	t.Helper()
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	w := openWriter(t, memory.Open, sleep.Options{Key: small.PublicKey, SecretKey: small.secret(t)})
	w.append([]byte("another"), []byte("history"))
	w.Close()
	over := contents(t, memory.Open)
	for _, name := range []string{"data", "tree", "signatures"} {
		over[name] = append(over[name], files[name][len(over[name]):]...)
	}
	return over
}

// bitfieldTree returns tree bits, padded to those of a page, of a feed of that
// length.
func bitfieldTree(t *testing.T, length uint64) []byte {
	t.Helper()
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	w := openWriter(t, memory.Open, sleep.Options{})
	for range length {
		w.append([]byte("x"))
	}
	w.Close()
	return contents(t, memory.Open)["bitfield"][32+1024 : 32+3072]
}

func TestOpenErrors(t *testing.T) {
	small := loadSmall(t)
	memory := stored(t, small.wantFiles(t, "mixed"))
	other := tree.KeyPairFromSeed([32]byte{1}).Public
	_, err := sleep.Open(t.Context(), memory.Open, sleep.Options{Key: other})
	if e, ok := errors.AsType[*sleep.OtherFeedError](err); !ok || e.Stored != small.PublicKey || e.Given != other {
		t.Errorf("error %v", err)
	}
	f := open(t, memory.Open, sleep.Options{})
	if _, err := sleep.Open(t.Context(), memory.Open, sleep.Options{}); !errors.Is(err, sleep.ErrLocked) {
		t.Errorf("second opening: %v, want ErrLocked", err)
	}
	f.Close()

	// Whatever cannot be opened or read is an error, and what was open is closed.
	for n := range 40 {
		failed := false
		open := randomaccesstest.Inject(memory.Open, func(op randomaccesstest.Op) *randomaccesstest.Fault {
			if op.N != n || op.Kind == randomaccesstest.Close {
				return nil
			}
			failed = true
			return &randomaccesstest.Fault{}
		})
		f, err := sleep.Open(t.Context(), open, sleep.Options{})
		if err == nil {
			f.Close()
		}
		if failed != errors.Is(err, randomaccesstest.ErrInjected) {
			t.Errorf("operation %d failed: %t, Open: %v", n, failed, err)
		}
	}
	open(t, memory.Open, sleep.Options{}).Close()
}

// A key pair is safe before anybody sees its public key, and whatever a crash in
// the first opening leaves can be opened.
func TestOpenNewCrash(t *testing.T) {
	points := 0
	for _, opts := range []sleep.Options{{}, {Sync: true}} {
		disk := randomaccesstest.NewDisk()
		rng := newRand(5)
		keys := map[tree.PublicKey]bool{}
		disk.OnOp(func(op randomaccesstest.Op) {
			for range 5 {
				for _, loss := range randomaccesstest.Losses() {
					points++
					found := disk.Crash(loss, rng)
					f, err := sleep.Open(t.Context(), found.Open, opts)
					if err != nil {
						t.Fatalf("after %v, losing %v: %v", op, loss, err)
					}
					if !f.Writable() {
						t.Errorf("after %v, losing %v: not writable", op, loss)
					}
					keys[f.Key()] = true
					newWriter(t, f).append([]byte("x"))
					f.Close()
					open(t, found.Open, sleep.Options{MustWrite: true}).Close()
				}
			}
		})
		f := open(t, disk.Open, opts)
		disk.OnOp(nil)
		if len(keys) < 2 || !keys[f.Key()] {
			t.Errorf("%d keys found, this one among them: %t", len(keys), keys[f.Key()])
		}
		found := open(t, disk.Crash(randomaccesstest.LoseUnsynced, rng).Open, opts)
		if found.Key() != f.Key() || !found.Writable() {
			t.Error("the key pair was lost after Open")
		}
	}
	t.Logf("%d crash points", points)
}

func TestDiscardSecretKey(t *testing.T) {
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	pair := tree.KeyPairFromSeed([32]byte{2})
	f := open(t, memory.Open, sleep.Options{SecretKey: pair.Secret, DiscardSecretKey: true})
	if f.Key() != pair.Public || !f.Writable() {
		t.Errorf("key %v, writable %t", f.Key(), f.Writable())
	}
	f.Close()
	if got := contents(t, memory.Open)["secret_key"]; got != nil {
		t.Errorf("secret key was stored: %d bytes", len(got))
	}
	if open(t, memory.Open, sleep.Options{}).Writable() {
		t.Error("writable without a secret key")
	}
}

func TestOldPages(t *testing.T) {
	memory := stored(t, map[string][]byte{"bitfield": sleep.AppendBitfieldHeader(nil, sleep.OldIndexSize)})
	w := openWriter(t, memory.Open, sleep.Options{})
	w.append(make([][]byte, 9000)...)
	w.Close()
	got := contents(t, memory.Open)["bitfield"]
	if size := binary.BigEndian.Uint16(got[5:]); size != 3328 || len(got) != 32+2*3328 {
		t.Errorf("entry size %d, %d bytes", size, len(got))
	}
	if !bytes.Equal(got[32:32+1024], bytes.Repeat([]byte{0xff}, 1024)) || got[32+3328] != 0xff {
		t.Error("data bits are not where they belong")
	}
	f := open(t, memory.Open, sleep.Options{})
	if f.Length() != 9000 || f.CountBlocks(0, 9000) != 9000 || f.IndexSize() != sleep.OldIndexSize {
		t.Errorf("length %d, %d blocks, index size %d", f.Length(), f.CountBlocks(0, 9000), f.IndexSize())
	}
}

func TestReadOnly(t *testing.T) {
	small := loadSmall(t)
	dir := t.TempDir()
	for name, b := range small.wantFiles(t, "oneByOne") {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o400); err != nil {
			t.Fatal(err)
		}
	}
	opener := randomaccess.NewDirectory(dir, randomaccess.DirectoryOptions{ReadOnly: true}).Open
	f := open(t, opener, sleep.Options{ReadOnly: true})
	if _, ok := f.SecretKey(); !ok || f.Writable() {
		t.Errorf("secret key %t, writable %t", ok, f.Writable())
	}
	for name, err := range map[string]error{
		"Commit":  f.Commit(sleep.Change{}),
		"Clear":   second(f.Clear(0, 1)),
		"Destroy": f.Destroy(),
	} {
		if !errors.Is(err, sleep.ErrReadOnly) {
			t.Errorf("%s: %v", name, err)
		}
	}
	missing := filepath.Join(dir, "missing")
	_, err := sleep.Open(t.Context(), randomaccess.NewDirectory(missing, randomaccess.DirectoryOptions{ReadOnly: true}).Open, sleep.Options{ReadOnly: true})
	if !errors.Is(err, sleep.ErrNoFeed) {
		t.Errorf("opening nothing: %v", err)
	}
	_, err = sleep.Open(t.Context(), randomaccess.NewDirectory(missing, randomaccess.DirectoryOptions{}).Open, sleep.Options{NoCreate: true})
	if !errors.Is(err, sleep.ErrNoFeed) {
		t.Errorf("opening nothing: %v", err)
	}
	if _, err := os.Stat(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opening nothing made something: %v", err)
	}
}

func TestDestroy(t *testing.T) {
	dir := t.TempDir()
	opener := randomaccess.NewDirectory(dir, randomaccess.DirectoryOptions{}).Open
	w := openWriter(t, opener, sleep.Options{})
	w.append([]byte("x"))
	if err := w.Destroy(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left %v, %v", entries, err)
	}
	if err := w.Destroy(); !errors.Is(err, sleep.ErrClosed) {
		t.Errorf("second Destroy: %v", err)
	}
	if err := w.Commit(sleep.Change{}); !errors.Is(err, sleep.ErrClosed) {
		t.Errorf("Commit after Destroy: %v", err)
	}
	// A reader has neither data nor secret_key.
	if err := open(t, opener, sleep.Options{Key: tree.PublicKey{1}}).Destroy(); err != nil {
		t.Errorf("Destroy of an empty replica: %v", err)
	}
}

// A bitfield that speaks of nodes past the end of the tree is ahead of it, even if
// what is left is signed.
func TestTreeShortByPages(t *testing.T) {
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	w := openWriter(t, memory.Open, sleep.Options{})
	w.append(make([][]byte, 8192)...)
	w.append(make([][]byte, 100)...)
	w.append(make([][]byte, 8192)...)
	w.Close()
	for _, c := range []struct{ nodes, length, stored uint64 }{
		{2*16484 - 1, 16484, 16484},
		{2*16384 - 1, 8292, 16385},
		{2 * 9000, 8292, 16385},
		{2*8292 - 1, 8292, 16385},
		{2*8192 - 1, 8192, 8193},
		{2 * 8192, 8192, 8193},
		{0, 0, 0},
	} {
		files := contents(t, memory.Open)
		files["tree"] = files["tree"][:32+40*c.nodes]
		f, err := sleep.Open(t.Context(), stored(t, files).Open, sleep.Options{})
		if c.length == 0 {
			if !errors.Is(err, sleep.ErrDamaged) {
				t.Errorf("%d nodes: %v, want ErrDamaged", c.nodes, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%d nodes: %v", c.nodes, err)
			continue
		}
		if want := (sleep.Recovery{Stored: c.stored, Length: c.length}); f.Recovery() != want {
			t.Errorf("%d nodes: recovery %+v, want %+v", c.nodes, f.Recovery(), want)
		}
		f.Close()
	}
}

// The context ends a recovery that reads much.
func TestOpenContext(t *testing.T) {
	small := loadSmall(t)
	files := small.wantFiles(t, "mixed")
	delete(files, "bitfield")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := sleep.Open(ctx, stored(t, files).Open, sleep.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: %v", err)
	}
}

// Custom crypto takes the place of Ed25519 in opening, too.
func TestCrypto(t *testing.T) {
	crypto := &tree.Crypto{
		Sign: func(signable []byte, _ tree.SecretKey) (sig tree.Signature, _ error) {
			copy(sig[:], signable)
			return sig, nil
		},
		Verify: func(signable []byte, sig tree.Signature, _ tree.PublicKey) (bool, error) {
			return bytes.HasPrefix(sig[:], signable), nil
		},
	}
	opts := sleep.Options{Key: tree.PublicKey{9}, SecretKey: tree.SecretKey{8}, Crypto: crypto}
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	w := openWriter(t, memory.Open, opts)
	change := w.change([]byte("x"))
	sig, _ := crypto.SignRoots(w.builder.Roots(), 1, tree.SecretKey{})
	change.Signatures[0].Signature = sig
	if err := w.Commit(change); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := sleep.Open(t.Context(), memory.Open, sleep.Options{}); !errors.Is(err, sleep.ErrDamaged) || !strings.Contains(err.Error(), "secret_key") {
		t.Errorf("opened without the crypto: %v", err)
	}
	f := open(t, memory.Open, sleep.Options{Crypto: crypto})
	report, err := f.Verify(t.Context(), sleep.VerifyOptions{})
	if err != nil || !report.OK() || f.Length() != 1 {
		t.Errorf("length %d, %+v, %v", f.Length(), report, err)
	}
}

func second[T any](_ T, err error) error { return err }
