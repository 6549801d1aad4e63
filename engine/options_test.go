package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/bitmap"
	"github.com/cairn-feeds/cairn/codec"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
	"github.com/cairn-feeds/cairn/tree"
)

// eachOption runs a test on a new writable feed of each backend with the same
// options.
func eachOption(t *testing.T, o engine.FeedOptions, test func(t *testing.T, f *engine.Feed)) {
	t.Run("store", func(t *testing.T) {
		test(t, createFeed(t, openStore(t, nil), &engine.CreateOptions{FeedOptions: o}))
	})
	t.Run("files", func(t *testing.T) {
		m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
		f, err := engine.OpenFiles(t.Context(), m.Open, &engine.FilesOptions{FeedOptions: o})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		test(t, f)
	})
}

// TestCreateIfMissing: MustExist is createIfMissing: false.
func TestCreateIfMissing(t *testing.T) {
	key := newPair(1).Public
	s := openStore(t, nil)
	_, err := s.Open(t.Context(), key, &engine.FeedOptions{MustExist: true})
	mustFail(t, err, engine.ErrNoFeed)
	if _, err := s.Info(key.DiscoveryKey()); !errors.Is(err, engine.ErrNoFeed) {
		t.Errorf("the feed was added: %v", err)
	}
	_, err = s.OpenDiscovery(t.Context(), key.DiscoveryKey(), nil)
	mustFail(t, err, engine.ErrNoFeed)
	_, err = s.Lookup(t.Context(), key.DiscoveryKey())
	mustFail(t, err, engine.ErrNoFeed)
	f, err := s.Open(t.Context(), key, nil)
	if err != nil {
		t.Fatal(err)
	}
	if f.Key() != key || f.DiscoveryKey() != key.DiscoveryKey() || f.Writable() || !f.Readable() || f.Length() != 0 {
		t.Errorf("a new feed: %v, writable %v, length %d", f.Key(), f.Writable(), f.Length())
	}
	f.Close()
	f, err = s.OpenDiscovery(t.Context(), key.DiscoveryKey(), &engine.FeedOptions{MustExist: true})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()

	m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	o := &engine.FilesOptions{}
	o.MustExist = true
	_, err = engine.OpenFiles(t.Context(), m.Open, o)
	mustFail(t, err, engine.ErrNoFeed)
	if m.Used() != 0 {
		t.Errorf("looking for a feed wrote %d bytes", m.Used())
	}
	_, err = engine.OpenFiles(t.Context(), m.Open, &engine.FilesOptions{ReadOnly: true})
	mustFail(t, err, engine.ErrNoFeed)
	_, err = engine.OpenFiles(t.Context(), m.Open, &engine.FilesOptions{Key: key, MustWrite: true})
	mustFail(t, err, engine.ErrNotWritable)
}

// TestSecretKeyOption: a secret key makes a feed writable, and is kept unless told
// otherwise; one that does not fit is refused.
func TestSecretKeyOption(t *testing.T) {
	pair, other := newPair(1), newPair(2)
	for _, discard := range []bool{false, true} {
		t.Run(fmt.Sprint("discard=", discard), func(t *testing.T) {
			fs := vfs.NewMem()
			s, err := engine.Open("store", &engine.Options{FS: fs})
			if err != nil {
				t.Fatal(err)
			}
			o := &engine.FeedOptions{SecretKey: &pair.Secret, DiscardSecret: discard}
			f, err := s.Open(t.Context(), pair.Public, o)
			if err != nil {
				t.Fatal(err)
			}
			if !f.Writable() {
				t.Fatal("not writable")
			}
			mustAppend(t, f, []byte("x"))
			f.Close()
			if f, err = s.Open(t.Context(), pair.Public, nil); err != nil {
				t.Fatal(err)
			}
			if f.Writable() == discard {
				t.Errorf("writable %v after the handles were closed", f.Writable())
			}
			_, err = f.Append(t.Context(), []byte("y"))
			if discard {
				mustFail(t, err, engine.ErrNotWritable)
				_, err = s.ExportSecret(f.DiscoveryKey())
				mustFail(t, err, engine.ErrNotWritable)
			} else if err != nil {
				t.Error(err)
			}
			s.Close()
			if inFiles(t, fs, pair.Secret[:32]) == discard {
				t.Errorf("the secret key is on disk: %v", !discard)
			}

			m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
			open := func(o *engine.FilesOptions) *engine.Feed {
				f, err := engine.OpenFiles(t.Context(), m.Open, o)
				if err != nil {
					t.Fatal(err)
				}
				return f
			}
			fo := &engine.FilesOptions{FeedOptions: *o}
			f = open(fo)
			mustAppend(t, f, []byte("x"))
			f.Close()
			f = open(nil)
			if f.Key() != pair.Public || f.Writable() == discard {
				t.Errorf("files: key %v, writable %v", f.Key(), f.Writable())
			}
			f.Close()
		})
	}
	s := openStore(t, nil)
	_, err := s.Open(t.Context(), pair.Public, &engine.FeedOptions{SecretKey: &other.Secret})
	mustFail(t, err, tree.ErrKeyMismatch)
	damaged := pair.Secret
	damaged[3] ^= 1
	_, err = s.Open(t.Context(), pair.Public, &engine.FeedOptions{SecretKey: &damaged})
	mustFail(t, err, tree.ErrKeyMismatch)
	create := &engine.CreateOptions{}
	create.SecretKey = &damaged
	_, err = s.Create(t.Context(), create)
	mustFail(t, err, tree.ErrKeyMismatch)
	fo := &engine.FilesOptions{Key: pair.Public}
	fo.SecretKey = &other.Secret
	if _, err := engine.OpenFiles(t.Context(), randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open, fo); err == nil {
		t.Error("a secret key of another feed was taken")
	}
}

// TestOverwrite: a feed that is overwritten begins anew.
func TestOverwrite(t *testing.T) {
	pair := newPair(1)
	t.Run("store", func(t *testing.T) {
		s := openStore(t, nil)
		o := &engine.CreateOptions{}
		o.SecretKey = &pair.Secret
		f := createFeed(t, s, o)
		mustAppend(t, f, testBlocks(100)...)
		waiting := later(func() ([]byte, error) { return f.Get(t.Context(), 1000, nil) })
		whenWaiting(t, f, 1)
		g, err := s.Open(t.Context(), pair.Public, &engine.FeedOptions{Overwrite: true, SecretKey: &pair.Secret})
		if err != nil {
			t.Fatal(err)
		}
		defer g.Close()
		mustFail(t, receive(t, waiting).err, engine.ErrClosed)
		if f.Readable() || g.Length() != 0 || !g.Writable() {
			t.Errorf("old handle open %v, new length %d, writable %v", f.Readable(), g.Length(), g.Writable())
		}
		if u, err := s.Usage(t.Context()); err != nil || u != (engine.Usage{}) {
			t.Errorf("usage %+v, %v", u, err)
		}
		mustAppend(t, g, []byte("new"))
		checkClean(t, s)
	})
	t.Run("files", func(t *testing.T) {
		m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
		open := func(change func(*engine.FilesOptions)) (*engine.Feed, error) {
			o := &engine.FilesOptions{}
			change(o)
			return engine.OpenFiles(t.Context(), m.Open, o)
		}
		f, err := open(func(o *engine.FilesOptions) { o.SecretKey = &pair.Secret })
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, f, testBlocks(100)...)
		f.Close()
		_, err = open(func(o *engine.FilesOptions) { o.Key = newPair(2).Public })
		mustFail(t, err, sleep.ErrOtherFeed)
		if f, err = open(func(o *engine.FilesOptions) { o.SecretKey, o.Overwrite = &pair.Secret, true }); err != nil {
			t.Fatal(err)
		}
		if f.Length() != 0 || !f.Writable() || f.Key() != pair.Public {
			t.Errorf("length %d, writable %v", f.Length(), f.Writable())
		}
		f.Close()
		if f, err = open(func(o *engine.FilesOptions) { o.Key, o.Force = newPair(2).Public, true }); err != nil {
			t.Fatal(err)
		}
		if f.Key() != newPair(2).Public || f.Writable() {
			t.Errorf("force: key %v, writable %v", f.Key(), f.Writable())
		}
		f.Close()
	})
}

// TestDestroyStorage: nothing is left, and the feed can be made again.
func TestDestroyStorage(t *testing.T) {
	t.Run("store", func(t *testing.T) {
		s := openStore(t, nil)
		f := createFeed(t, s, &engine.CreateOptions{Name: "doomed"})
		key := f.Key()
		mustAppend(t, f, testBlocks(100)...)
		if err := f.DestroyStorage(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := s.Open(t.Context(), key, &engine.FeedOptions{MustExist: true})
		mustFail(t, err, engine.ErrNoFeed)
		_, err = f.Append(t.Context(), []byte("x"))
		mustFail(t, err, engine.ErrClosed)
		if u, err := s.Usage(t.Context()); err != nil || u != (engine.Usage{}) {
			t.Errorf("usage %+v, %v", u, err)
		}
		checkClean(t, s)
	})
	t.Run("files", func(t *testing.T) {
		m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
		f, err := engine.OpenFiles(t.Context(), m.Open, nil)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, f, testBlocks(100)...)
		if err := f.DestroyStorage(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m.Used() != 0 {
			t.Errorf("%d bytes are left", m.Used())
		}
		o := &engine.FilesOptions{}
		o.MustExist = true
		_, err = engine.OpenFiles(t.Context(), m.Open, o)
		mustFail(t, err, engine.ErrNoFeed)
	})
	t.Run("directory", func(t *testing.T) {
		d := randomaccess.NewDirectory(t.TempDir(), randomaccess.DirectoryOptions{})
		f, err := engine.OpenFiles(t.Context(), d.Open, &engine.FilesOptions{Key: newPair(1).Public})
		if err != nil {
			t.Fatal(err)
		}
		// A reader has no secret_key; that it is not there is no error.
		if err := f.DestroyStorage(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestReadOnly: a store and files that were opened read-only can be read and not
// changed.
func TestReadOnly(t *testing.T) {
	fs := vfs.NewMem()
	s, err := engine.Open("store", &engine.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	f := createFeed(t, s, &engine.CreateOptions{Name: "mine"})
	key := f.Key()
	mustAppend(t, f, numbered(50)...)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := listing(t, fs)
	s, err = engine.Open("store", &engine.Options{FS: fs, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if f, err = s.Open(t.Context(), key, nil); err != nil {
		t.Fatal(err)
	}
	b, err := f.Get(t.Context(), 7, nil)
	mustBlock(t, outcome[[]byte]{b, err}, []byte("7 "))
	if f.Writable() {
		t.Error("writable")
	}
	for name, call := range map[string]func() error{
		"append":  func() error { _, err := f.Append(t.Context(), []byte("x")); return err },
		"clear":   func() error { _, err := f.Clear(t.Context(), 0, 5); return err },
		"unguard": func() error { return f.Unguard(t.Context()) },
		"deliver": func() error { return f.Put(t.Context(), 0, []byte("0 "), tree.Proof{}) },
		"destroy": func() error { return f.DestroyStorage(t.Context()) },
		"create":  func() error { _, err := s.Create(t.Context(), nil); return err },
		"name":    func() error { return s.SetName(t.Context(), f.DiscoveryKey(), "other") },
		"secret":  func() error { return s.ImportSecret(t.Context(), newPair(1).Secret) },
		"seal":    func() error { return s.SealSecrets([]byte("x")) },
		"compact": func() error { return s.Compact(t.Context()) },
		"reserved": func() error {
			r, err := s.Reserved("x")
			if err != nil {
				t.Fatal(err)
			}
			return r.Set([]byte("k"), []byte("v"))
		},
	} {
		err := call()
		if !errors.Is(err, engine.ErrReadOnly) && !(name == "create" && errors.Is(err, engine.ErrNoFeed)) {
			t.Errorf("%s: %v, want %v", name, err, engine.ErrReadOnly)
		}
	}
	checkClean(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after := listing(t, fs); after != before {
		t.Errorf("files before:\n%s\nafter:\n%s", before, after)
	}
	_, err = engine.Open("nothing", &engine.Options{FS: fs, ReadOnly: true})
	mustFail(t, err, engine.ErrNoStore)

	m := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	if f, err = engine.OpenFiles(t.Context(), m.Open, nil); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, f, numbered(3)...)
	f.Close()
	if f, err = engine.OpenFiles(t.Context(), randomaccess.ReadOnly(m.Open), &engine.FilesOptions{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = f.Append(t.Context(), []byte("x"))
	mustFail(t, err, engine.ErrReadOnly)
	_, err = f.Clear(t.Context(), 0, 1)
	mustFail(t, err, engine.ErrReadOnly)
	mustFail(t, f.DestroyStorage(t.Context()), engine.ErrReadOnly)
}

// TestWritable: the switches before and after a close.
func TestWritable(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		writer, replica := writerAndReplica(t, b, nil)
		if !writer.Writable() || !writer.Readable() || replica.Writable() || !replica.Readable() {
			t.Error("open feeds")
		}
		_, err := replica.Append(t.Context(), []byte("x"))
		mustFail(t, err, engine.ErrNotWritable)
		writer.Close()
		replica.Close()
		if writer.Writable() || writer.Readable() || replica.Writable() || replica.Readable() {
			t.Error("closed feeds")
		}
	})
}

// TestStorageCacheSize: without caches everything works and nothing is kept.
func TestStorageCacheSize(t *testing.T) {
	for _, size := range []int{-1, 1, 100} {
		s := openStore(t, &engine.Options{StorageCacheSize: size})
		f := createFeed(t, s, nil)
		mustAppend(t, f, testBlocks(300)...)
		for _, b := range testBlocks(30) {
			mustAppend(t, f, b)
		}
		if _, err := f.Clear(t.Context(), 5, 310); err != nil {
			t.Fatal(err)
		}
		for i := uint64(0); i < 330; i++ {
			if _, err := f.Proof(i, 0, false); err != nil {
				t.Fatalf("size %d: proof of %d: %v", size, i, err)
			}
		}
		m, err := s.Metrics()
		if err != nil {
			t.Fatal(err)
		}
		kept := m.CachedNodes + m.CachedGroups + m.CachedPages
		if size < 0 && kept != 0 || size > 0 && (kept == 0 || kept > 3*max(size, 1)) {
			t.Errorf("size %d: %d nodes, %d groups, %d pages are kept", size, m.CachedNodes, m.CachedGroups, m.CachedPages)
		}
		checkClean(t, s)
	}
}

// TestStatsOption: NoStats leaves the totals at zero.
func TestStatsOption(t *testing.T) {
	writer := createFeed(t, openStore(t, nil), nil)
	mustAppend(t, writer, numbered(5)...)
	for _, off := range []bool{false, true} {
		f, err := openStore(t, nil).Open(t.Context(), writer.Key(), &engine.FeedOptions{Sparse: true, NoStats: off})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		transfer(t, writer, f, 2, true)
		transfer(t, writer, f, 2, false)
		transfer(t, writer, f, 2, false)
		f.Uploaded(2, 2)
		want := engine.Stats{UploadedBlocks: 1, UploadedBytes: 2, DownloadedBlocks: 1, DownloadedBytes: 2}
		if off {
			want = engine.Stats{}
		}
		if got := f.Stats(); got != want {
			t.Errorf("off %v: %+v, want %+v", off, got, want)
		}
	}
}

// TestCrypto: the hooks sign and verify instead of Ed25519, and their failures
// come through.
func TestCrypto(t *testing.T) {
	broken := errors.New("the smart card is gone")
	var fail error
	mac := func(signable []byte) (sig tree.Signature) {
		for i := range sig {
			sig[i] = signable[i%len(signable)] ^ 0x55
		}
		return sig
	}
	crypto := &tree.Crypto{
		Sign:   func(b []byte, _ tree.SecretKey) (tree.Signature, error) { return mac(b), fail },
		Verify: func(b []byte, sig tree.Signature, _ tree.PublicKey) (bool, error) { return mac(b) == sig, fail },
	}
	eachOption(t, engine.FeedOptions{Crypto: crypto}, func(t *testing.T, f *engine.Feed) {
		fail = nil
		mustAppend(t, f, numbered(3)...)
		at, sig, err := f.Signature(0)
		if err != nil || at != 2 {
			t.Fatal(at, err)
		}
		if err := f.Verify(at, sig); err != nil {
			t.Errorf("verify: %v", err)
		}
		sig[0] ^= 1
		mustFail(t, f.Verify(at, sig), tree.ErrSignature)
		r, err := openStore(t, nil).Open(t.Context(), f.Key(), &engine.FeedOptions{Sparse: true, Crypto: crypto})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		transfer(t, f, r, 1, false)

		fail = broken
		_, err = f.Append(t.Context(), []byte("x"))
		mustFail(t, err, broken)
		if f.Length() != 3 {
			t.Errorf("length %d after a signature that failed", f.Length())
		}
		mustFail(t, f.Verify(at, sig), broken)
		r2, err := openStore(t, nil).Open(t.Context(), f.Key(), &engine.FeedOptions{Sparse: true, Crypto: crypto})
		if err != nil {
			t.Fatal(err)
		}
		defer r2.Close()
		err = deliver(t, f, r2, 1, false)
		mustFail(t, err, broken)
		if _, blamed := errors.AsType[*tree.ProofError](err); blamed {
			t.Errorf("%v blames the peer for our own failure", err)
		}
		fail = nil
		if seq := mustAppend(t, f, []byte("x")); seq != 3 {
			t.Errorf("the feed does not go on: %d", seq)
		}
	})
}

// TestBlockLimits: blocks that no peer could receive are refused unless told
// otherwise, and nothing of their append is stored.
func TestBlockLimits(t *testing.T) {
	large := make([]byte, engine.MaxSendable+1)
	eachOption(t, engine.FeedOptions{}, func(t *testing.T, f *engine.Feed) {
		_, err := f.Append(t.Context(), []byte("small"), large)
		mustFail(t, err, engine.ErrBlockTooLarge)
		if f.Length() != 0 {
			t.Errorf("length %d", f.Length())
		}
		mustAppend(t, f, large[1:])
		b, err := f.Get(t.Context(), 0, nil)
		if err != nil || len(b) != engine.MaxSendable {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	})
	eachOption(t, engine.FeedOptions{AllowUnsendable: true}, func(t *testing.T, f *engine.Feed) {
		mustAppend(t, f, large)
		b, err := f.Get(t.Context(), 0, nil)
		if err != nil || !bytes.Equal(b, large) {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	})
}

// TestTyped: values through every encoding, and another one for a single read.
func TestTyped(t *testing.T) {
	type note struct {
		Text string
		N    int
	}
	upper := codec.New(
		func(dst []byte, v string) ([]byte, error) {
			if v == "" {
				return nil, errors.New("nothing to say")
			}
			return append(dst, bytes.ToUpper([]byte(v))...), nil
		},
		func(b []byte) (string, error) {
			if len(b) > 0 && b[0] == '?' {
				return "", errors.New("a question")
			}
			return string(bytes.ToLower(b)), nil
		},
	)
	eachBackend(t, func(t *testing.T, b backend) {
		f := b.create(t, newPair(1))
		values(t, f, codec.Binary, []byte("bytes"), []byte{0, 0xff})
		values(t, f, codec.UTF8, "text", "žluťoučký")
		values(t, f, codec.JSON[note](), note{"a", 1}, note{"b", 2})
		values(t, f, codec.Msgpack[note](), note{"c", 3})
		values(t, f, upper, "loud")
		values(t, f, codec.JSON[map[string]int](), map[string]int{"x": 1})
		for name, v := range map[string]any{"binary": []byte("b"), "utf-8": "u", "json": true, "msgpack": "m"} {
			enc, err := codec.ByName(name)
			if err != nil {
				t.Fatal(err)
			}
			values(t, f, enc, v)
		}

		// The same block through two encodings, and through one that does not fit.
		seq, err := engine.As(f, codec.JSON[note]()).Append(t.Context(), note{"q", 7})
		if err != nil {
			t.Fatal(err)
		}
		raw, err := engine.As(f, codec.UTF8).Get(t.Context(), seq, nil)
		if err != nil || raw != `{"Text":"q","N":7}`+"\n" {
			t.Errorf("raw %q, %v", raw, err)
		}
		mustAppend(t, f, []byte("?"))
		seq++
		typed := engine.As(f, upper)
		for name, call := range map[string]func() error{
			"get":   func() error { _, err := typed.Get(t.Context(), seq, nil); return err },
			"head":  func() error { _, err := typed.Head(t.Context(), nil); return err },
			"batch": func() error { _, err := typed.GetBatch(t.Context(), seq, seq+1, nil); return err },
			"values": func() (last error) {
				for _, err := range typed.Values(t.Context(), &engine.StreamOptions{Start: seq}) {
					last = err
				}
				return last
			},
		} {
			err := call()
			if e, ok := errors.AsType[*engine.BlockError](err); !ok || e.Block != seq {
				t.Errorf("%s: %v, want an error about block %d", name, err, seq)
			}
		}
		length := f.Length()
		if _, err := typed.Append(t.Context(), "fine", ""); err == nil || f.Length() != length {
			t.Errorf("a value that cannot be encoded: %v, length %d", err, f.Length())
		}
		_, err = typed.Get(t.Context(), seq+1, &engine.GetOptions{NoWait: true})
		mustFail(t, err, engine.ErrNotPresent)
		_, err = typed.GetBatch(t.Context(), seq+1, seq+2, &engine.GetOptions{NoWait: true})
		mustFail(t, err, engine.ErrNotPresent)
	})
}

// values appends values and reads them back in every way.
func values[T any](t *testing.T, f *engine.Feed, enc codec.Encoding[T], want ...T) {
	t.Helper()
	v := engine.As(f, enc)
	seq, err := v.Append(t.Context(), want...)
	if err != nil {
		t.Fatal(err)
	}
	end := seq + uint64(len(want))
	var single, streamed []T
	for i := seq; i < end; i++ {
		x, err := v.Get(t.Context(), i, nil)
		if err != nil {
			t.Fatal(err)
		}
		single = append(single, x)
	}
	batch, err := v.GetBatch(t.Context(), seq, end, nil)
	if err != nil {
		t.Fatal(err)
	}
	for x, err := range v.Values(t.Context(), &engine.StreamOptions{Start: seq, End: end}) {
		if err != nil {
			t.Fatal(err)
		}
		streamed = append(streamed, x)
	}
	head, err := v.Head(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range [][]T{single, batch} {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("values %v, want %v", got, want)
		}
	}
	if len(streamed) != len(want) {
		t.Errorf("the stream has %d values, want %d", len(streamed), len(want))
	}
	if fmt.Sprint(head) != fmt.Sprint(want[len(want)-1]) {
		t.Errorf("head %v, want %v", head, want)
	}
}

// TestAudit: damaged blocks are counted, and freed when asked for.
func TestAudit(t *testing.T) {
	damage := map[string]func(t *testing.T) *engine.Feed{
		"store": damagedStoreFeed,
		"files": damagedFilesFeed,
	}
	for name, open := range damage {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			var steps []uint64
			a, err := f.Audit(t.Context(), &engine.AuditOptions{Progress: func(done, total uint64) {
				if total != 60 {
					t.Errorf("total %d", total)
				}
				steps = append(steps, done)
			}})
			want := engine.Audit{Valid: 58, Invalid: 2, Damaged: []bitmap.Run{run(3, 4), run(50, 51)}}
			if err != nil || fmt.Sprint(a) != fmt.Sprint(want) {
				t.Fatalf("audit %+v, %v, want %+v", a, err, want)
			}
			if len(steps) < 2 || steps[len(steps)-1] != 60 {
				t.Errorf("progress %v", steps)
			}
			if !f.Has(3) {
				t.Error("an audit without Clear cleared")
			}
			if a, err = f.Audit(t.Context(), &engine.AuditOptions{Clear: true}); err != nil || fmt.Sprint(a) != fmt.Sprint(want) {
				t.Errorf("audit %+v, %v, want %+v", a, err, want)
			}
			if f.Has(3) || f.Has(50) || f.Downloaded(0, 0) != 58 {
				t.Error("the damaged blocks are still here")
			}
			if a, err = f.Audit(t.Context(), nil); err != nil || a.Valid != 58 || a.Invalid != 0 {
				t.Errorf("audit %+v, %v", a, err)
			}
			p, err := f.Proof(3, 0, false)
			if err == nil {
				err = f.Put(t.Context(), 3, auditBlocks()[3], p)
			}
			if err != nil || !f.Has(3) {
				t.Errorf("the block cannot be brought back: %v", err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, err = f.Audit(ctx, nil)
			mustFail(t, err, context.Canceled)
		})
	}
}

// auditBlocks are 60 blocks of which 32 go into a group and the others do not.
func auditBlocks() [][]byte {
	blocks := make([][]byte, 60)
	for i := range blocks {
		blocks[i] = fmt.Appendf(nil, "the block with number %02d", i)
	}
	return blocks
}
