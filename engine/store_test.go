package engine_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/codec/zbase32"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

func TestNames(t *testing.T) {
	s := openStore(t, nil)
	f := createFeed(t, s, &engine.CreateOptions{Name: "first"})
	g := createFeed(t, s, nil)
	find := func(text string, want *engine.Feed) {
		t.Helper()
		info, err := s.Find(text)
		if want == nil {
			mustFail(t, err, engine.ErrNoFeed)
		} else if err != nil || info.Key != want.Key() {
			t.Errorf("find %q: %v, %v", text, info.Key, err)
		}
	}
	find("first", f)
	find("First", nil)
	find("", nil)
	if _, err := s.Create(t.Context(), &engine.CreateOptions{Name: "first"}); !errors.Is(err, engine.ErrNameTaken) {
		t.Errorf("a second feed of that name: %v", err)
	}
	mustFail(t, s.SetName(t.Context(), g.DiscoveryKey(), "first"), engine.ErrNameTaken)
	mustFail(t, s.SetName(t.Context(), newPair(9).Public.DiscoveryKey(), "x"), engine.ErrNoFeed)
	if err := s.SetName(t.Context(), f.DiscoveryKey(), "renamed"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetName(t.Context(), f.DiscoveryKey(), "renamed"); err != nil {
		t.Error(err)
	}
	find("first", nil)
	find("renamed", f)
	if err := s.SetName(t.Context(), g.DiscoveryKey(), "first"); err != nil {
		t.Errorf("a name that was given up: %v", err)
	}
	find("first", g)
	if info, err := s.Info(g.DiscoveryKey()); err != nil || info.Name != "first" {
		t.Errorf("info %+v, %v", info, err)
	}
	if err := s.SetName(t.Context(), g.DiscoveryKey(), ""); err != nil {
		t.Fatal(err)
	}
	find("first", nil)
	for _, bad := range []string{
		strings.Repeat("x", 256), "a\nb", "-x", " x", "x ", "a\x00", "\xff", "tab\there", "\u200b",
		f.Key().String(), zbase32.Encode(make([]byte, 32)),
	} {
		mustFail(t, s.SetName(t.Context(), f.DiscoveryKey(), bad), engine.ErrBadName)
		_, err := s.Create(t.Context(), &engine.CreateOptions{Name: bad})
		mustFail(t, err, engine.ErrBadName)
	}
	for _, good := range []string{"x", "two words", "žluť 🏔", strings.Repeat("x", 255), f.Key().String()[:10]} {
		if err := s.SetName(t.Context(), f.DiscoveryKey(), good); err != nil {
			t.Errorf("name %q: %v", good, err)
		}
		find(good, f)
	}
	checkClean(t, s)
}

func TestFind(t *testing.T) {
	s := openStore(t, nil)
	var feeds []*engine.Feed
	for i := range 40 {
		seed := [32]byte{byte(i), 7}
		feeds = append(feeds, createFeed(t, s, &engine.CreateOptions{Seed: &seed}))
	}
	for _, f := range feeds {
		key := f.Key()
		z := zbase32.Encode(key[:])
		for _, text := range []string{key.String(), strings.ToUpper(key.String()), z, key.String()[:12], z[:12], strings.ToUpper(key.String()[:12])} {
			if info, err := s.Find(text); err != nil || info.Key != key {
				t.Errorf("find %q: %v, %v", text, info.Key, err)
			}
		}
	}
	// The naive answer for every short prefix.
	for _, prefix := range strings.Split("0123456789abcdefghijkmnopqrstuwxyz", "") {
		fits := 0
		for _, f := range feeds {
			key := f.Key()
			if strings.HasPrefix(key.String(), prefix) || strings.HasPrefix(zbase32.Encode(key[:]), prefix) {
				fits++
			}
		}
		_, err := s.Find(prefix)
		switch fits {
		case 0:
			mustFail(t, err, engine.ErrNoFeed)
		case 1:
			mustFail(t, err, nil)
		default:
			mustFail(t, err, engine.ErrAmbiguous)
		}
	}
	_, err := s.Find(newPair(99).Public.String())
	mustFail(t, err, engine.ErrNoFeed)
}

// TestFeeds: the list is complete and in order, also when it takes several pages
// and changes meanwhile.
func TestFeeds(t *testing.T) {
	s := openStore(t, &engine.Options{Sync: engine.SyncNever})
	const n = 600
	want := make(map[tree.DiscoveryKey]bool)
	for range n {
		f := createFeed(t, s, nil)
		want[f.DiscoveryKey()] = true
		f.Close()
	}
	var last tree.DiscoveryKey
	seen := 0
	for info, err := range s.Feeds() {
		if err != nil {
			t.Fatal(err)
		}
		if seen > 0 && string(last[:]) >= string(info.DiscoveryKey[:]) {
			t.Fatalf("%v after %v", info.DiscoveryKey, last)
		}
		if last = info.DiscoveryKey; !want[last] || info.Key.DiscoveryKey() != last || !info.Writable || info.Created.IsZero() {
			t.Fatalf("info %+v", info)
		}
		if seen++; seen%3 == 0 { // what was seen may go
			if _, err := s.Destroy(t.Context(), last); err != nil {
				t.Fatal(err)
			}
		}
	}
	if seen != n {
		t.Errorf("%d feeds, want %d", seen, n)
	}
	left := 0
	for range s.Feeds() {
		left++
	}
	if left != n-n/3 {
		t.Errorf("%d feeds are left, want %d", left, n-n/3)
	}
	for range s.Feeds() {
		break // the consumer may stop
	}
	checkClean(t, s)
}

// TestCreate: key pairs from seeds and secret keys, and feeds that are there.
func TestCreate(t *testing.T) {
	s := openStore(t, nil)
	seed := [32]byte([]byte(strings.Repeat("\x11", 32)))
	f := createFeed(t, s, &engine.CreateOptions{Seed: &seed})
	if got := f.Key().String(); got != "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737" {
		t.Errorf("key %s", got)
	}
	_, err := s.Create(t.Context(), &engine.CreateOptions{Seed: &seed})
	mustFail(t, err, engine.ErrFeedExists)
	f.Close()
	_, err = s.Create(t.Context(), &engine.CreateOptions{Seed: &seed})
	mustFail(t, err, engine.ErrFeedExists)
	both := &engine.CreateOptions{Seed: &seed}
	both.SecretKey = &newPairs(5).Secret
	if _, err := s.Create(t.Context(), both); err == nil {
		t.Error("a seed and a secret key were taken")
	}
	sk, err := s.ExportSecret(f.DiscoveryKey())
	if err != nil || sk.Public() != f.Key() {
		t.Errorf("secret key: %v", err)
	}
	// A feed that could not be made leaves nothing.
	before, _ := s.Usage(t.Context())
	createFeed(t, s, &engine.CreateOptions{Name: "x"})
	_, err = s.Create(t.Context(), &engine.CreateOptions{Name: "x"})
	mustFail(t, err, engine.ErrNameTaken)
	n := 0
	for range s.Feeds() {
		n++
	}
	if after, _ := s.Usage(t.Context()); n != 2 || after != before {
		t.Errorf("%d feeds, want 2", n)
	}
	checkClean(t, s)
}

func newPairs(seed byte) *tree.KeyPair {
	p := newPair(seed)
	return &p
}

// TestDestroy: every row of the feed goes, none of another one.
func TestDestroy(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, &engine.Options{FS: fs})
	_, err := s.Destroy(t.Context(), newPair(1).Public.DiscoveryKey())
	mustFail(t, err, engine.ErrNoFeed)
	keep := createFeed(t, s, nil)
	mustAppend(t, keep, testBlocks(100)...)
	before, err := s.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f := createFeed(t, s, &engine.CreateOptions{Name: "gone"})
	blocks := randomBlocks(200, 10_000)
	mustAppend(t, f, blocks...)
	for _, b := range blocks[:10] {
		mustAppend(t, f, b)
	}
	if _, err := f.Clear(t.Context(), 10, 20); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := s.DiskUsage(f.DiscoveryKey()); err != nil || n < 500_000 {
		t.Errorf("disk usage %d, %v", n, err)
	}
	full := tableBytes(t, s)
	d, err := s.Destroy(t.Context(), f.DiscoveryKey())
	if err != nil || d.Blocks != 200 || d.Bytes < 500_000 {
		t.Errorf("destroyed %+v, %v", d, err)
	}
	if f.Readable() {
		t.Error("the handle is open")
	}
	if after, err := s.Usage(t.Context()); err != nil || after != before {
		t.Errorf("usage %+v, %v, want %+v", after, err, before)
	}
	_, err = s.Find("gone")
	mustFail(t, err, engine.ErrNoFeed)
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	freed(t, s, full/4)
	if a, err := keep.Audit(t.Context(), nil); err != nil || a.Valid != 100 {
		t.Errorf("the other feed: %+v, %v", a, err)
	}
	checkClean(t, s)
}

// tableBytes returns what tables and blob files take. The log, whose file is used
// again, is not counted.
func tableBytes(t testing.TB, s *engine.Store) uint64 {
	t.Helper()
	m, err := s.Metrics()
	if err != nil {
		t.Fatal(err)
	}
	return m.Database.Table.Local.LiveSize + m.Database.BlobFiles.Local.LiveSize
}

// freed waits until no more than so many bytes are left: the database rewrites blob
// files in the background.
func freed(t testing.TB, s *engine.Store, most uint64) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for left := tableBytes(t, s); left > most; left = tableBytes(t, s) {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are left, want at most %d", left, most)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestClearFrees: the space of cleared blocks comes back.
func TestClearFrees(t *testing.T) {
	s := openStore(t, nil)
	f := createFeed(t, s, nil)
	mustAppend(t, f, randomBlocks(300, 10_000)...)
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := tableBytes(t, s)
	c, err := f.Clear(t.Context(), 0, 290)
	if err != nil || c.Blocks != 290 || c.Bytes != 2_900_000 {
		t.Fatalf("cleared %+v, %v", c, err)
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	freed(t, s, before/4)
	checkClean(t, s)
}

func init() {
	children["open"] = func(args []string) error {
		s, err := engine.Open(args[0], nil)
		if err != nil {
			return err
		}
		return s.Close()
	}
}

// TestLocked: a second process is told who holds the store.
func TestLocked(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := filepath.Join(t.TempDir(), "store")
	s, err := engine.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = engine.Open(dir, nil)
	mustFail(t, err, engine.ErrStoreLocked)
	out, err := childCommand(t, "open", dir).Output()
	if holder := fmt.Sprintf("process %d", os.Getpid()); err == nil || !strings.Contains(string(out), engine.ErrStoreLocked.Error()) || !strings.Contains(string(out), holder) {
		t.Errorf("the second process says %q, %v, want it to name %s", out, err, holder)
	}
	f := createFeed(t, s, nil) // the first one goes on
	mustAppend(t, f, []byte("x"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := childCommand(t, "open", dir).Output(); err != nil {
		t.Errorf("after the close: %q, %v", out, err)
	}
}

// TestPermissions: nobody else can read a store.
func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no permission bits")
	}
	dir := filepath.Join(t.TempDir(), "a", "store")
	s, err := engine.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := createFeed(t, s, nil)
	mustAppend(t, f, randomBlocks(10, 5000)...)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err == nil && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	check()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check()
}

func TestOpenErrors(t *testing.T) {
	fs := vfs.NewMem()
	_, err := engine.Open("store", &engine.Options{FS: fs, MustExist: true})
	mustFail(t, err, engine.ErrNoStore)
	if _, err := fs.Stat("store"); err == nil {
		t.Error("looking for a store made its directory")
	}
	s, err := engine.Open("store", &engine.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	id := s.ID()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	for name, call := range map[string]func() error{
		"create":     func() error { _, err := s.Create(t.Context(), nil); return err },
		"open":       func() error { _, err := s.Open(t.Context(), newPair(1).Public, nil); return err },
		"info":       func() error { _, err := s.Info(tree.DiscoveryKey{}); return err },
		"find":       func() error { _, err := s.Find("x"); return err },
		"destroy":    func() error { _, err := s.Destroy(t.Context(), tree.DiscoveryKey{}); return err },
		"name":       func() error { return s.SetName(t.Context(), tree.DiscoveryKey{}, "x") },
		"metrics":    func() error { _, err := s.Metrics(); return err },
		"check":      func() error { _, err := s.Check(t.Context(), nil); return err },
		"sync":       func() error { return s.Sync(t.Context()) },
		"flush":      func() error { return s.Flush(t.Context()) },
		"compact":    func() error { return s.Compact(t.Context()) },
		"seal":       func() error { return s.SealSecrets([]byte("x")) },
		"checkpoint": func() error { return s.Checkpoint(t.Context(), "copy") },
		"import":     func() error { return s.ImportSecret(t.Context(), newPair(1).Secret) },
		"inspect":    func() error { _, err := s.Inspect(t.Context(), tree.DiscoveryKey{}, 1); return err },
		"feeds": func() (last error) {
			for _, err := range s.Feeds() {
				last = err
			}
			return last
		},
	} {
		if err := call(); !errors.Is(err, engine.ErrClosed) {
			t.Errorf("%s after close: %v", name, err)
		}
	}

	withDatabase(t, fs, func(db *pebble.DB) {
		if err := db.Set([]byte("\x00format"), binary.AppendUvarint(nil, 99), pebble.Sync); err != nil {
			t.Fatal(err)
		}
	})
	before := listing(t, fs)
	_, err = engine.Open("store", &engine.Options{FS: fs})
	mustFail(t, err, engine.ErrNewerFormat)
	if !strings.Contains(fmt.Sprint(err), "99") {
		t.Errorf("%v does not name the format", err)
	}
	_, err = engine.Open("store", &engine.Options{FS: fs, ReadOnly: true})
	mustFail(t, err, engine.ErrNewerFormat)
	withDatabase(t, fs, func(db *pebble.DB) {
		if err := db.Set([]byte("\x00format"), binary.AppendUvarint(nil, 1), pebble.Sync); err != nil {
			t.Fatal(err)
		}
	})
	if s, err = engine.Open("store", &engine.Options{FS: fs, MustExist: true}); err != nil {
		t.Fatalf("the store of before:\n%s\n%v", before, err)
	}
	if s.ID() != id || s.Dir() != "store" {
		t.Errorf("id %x, want %x", s.ID(), id)
	}
	s.Close()

	// A database of somebody else is not made a store of.
	other := vfs.NewMem()
	withDatabase(t, other, func(db *pebble.DB) {
		if err := db.Set([]byte("key"), []byte("value"), pebble.Sync); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := engine.Open("store", &engine.Options{FS: other}); err == nil {
		t.Error("a database of somebody else was opened as a store")
	}
	withDatabase(t, other, func(db *pebble.DB) {
		v, closer, err := db.Get([]byte("key"))
		if err != nil || string(v) != "value" {
			t.Errorf("%q, %v", v, err)
		}
		closer.Close()
	})
}

// TestCheckpoint: a copy has everything up to its moment and lives by itself.
func TestCheckpoint(t *testing.T) {
	fs := vfs.NewMem()
	s := openStore(t, &engine.Options{FS: fs})
	f := createFeed(t, s, &engine.CreateOptions{Name: "mine"})
	mustAppend(t, f, testBlocks(100)...)
	if err := s.Checkpoint(t.Context(), "copy"); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, f, []byte("later"))
	if err := s.Checkpoint(t.Context(), "copy"); err == nil {
		t.Error("a checkpoint over another one")
	}
	for _, o := range []engine.Options{{ReadOnly: true}, {}} {
		o.FS = fs
		c, err := engine.Open("copy", &o)
		if err != nil {
			t.Fatal(err)
		}
		info, err := c.Find("mine")
		if err != nil || info.Length != 100 || info.Key != f.Key() || c.ID() != s.ID() {
			t.Errorf("copy: %+v, %v", info, err)
		}
		checkClean(t, c)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReserved(t *testing.T) {
	fs := vfs.NewMem()
	s, err := engine.Open("store", &engine.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", strings.Repeat("x", 65), "a\x00b"} {
		_, err := s.Reserved(bad)
		mustFail(t, err, engine.ErrBadName)
	}
	owner := func(name string) *engine.Reserved {
		r, err := s.Reserved(name)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	a, b := owner("a"), owner("ab")
	for i := range 5 {
		for _, r := range []*engine.Reserved{a, b} {
			if err := r.Set([]byte{0xff, byte(i)}, []byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := a.Set(nil, []byte("empty key")); err != nil {
		t.Fatal(err)
	}
	if err := a.Set([]byte{0xff, 3}, nil); err != nil {
		t.Fatal(err)
	}
	if err := a.Set([]byte("empty value"), []byte{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err = a.Get([]byte("x"))
	mustFail(t, err, engine.ErrClosed)
	if s, err = engine.Open("store", &engine.Options{FS: fs}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, b = owner("a"), owner("ab")
	if v, ok, err := a.Get([]byte{0xff, 4}); err != nil || !ok || string(v) != "\x04" {
		t.Errorf("get %x, %v, %v", v, ok, err)
	}
	if v, ok, err := a.Get([]byte("empty value")); err != nil || !ok || len(v) != 0 {
		t.Errorf("get %x, %v, %v", v, ok, err)
	}
	if v, ok, err := a.Get([]byte{0xff, 3}); err != nil || ok || v != nil {
		t.Errorf("get of a deleted row %x, %v, %v", v, ok, err)
	}
	scan := func(r *engine.Reserved, prefix []byte, most int) (keys []string) {
		err := r.Scan(prefix, func(k, v []byte) bool {
			keys = append(keys, fmt.Sprintf("%x=%x", k, v))
			return len(keys) < most
		})
		if err != nil {
			t.Error(err)
		}
		return keys
	}
	if got := scan(a, []byte{0xff}, 9); !slices.Equal(got, []string{"ff00=00", "ff01=01", "ff02=02", "ff04=04"}) {
		t.Errorf("scan %v", got)
	}
	if got := scan(a, nil, 9); len(got) != 6 || got[0] != "="+fmt.Sprintf("%x", "empty key") {
		t.Errorf("scan %v", got)
	}
	if got := scan(b, nil, 2); len(got) != 2 {
		t.Errorf("scan %v", got)
	}
	checkClean(t, s) // rows of others are no business of the check
}

// TestConcurrency: many goroutines on shared feeds of one store.
func TestConcurrency(t *testing.T) {
	s := openStore(t, &engine.Options{Sync: engine.SyncNever, StorageCacheSize: 200})
	const goroutines, rounds = 16, 24
	var keys []tree.PublicKey
	for range 4 {
		f := createFeed(t, s, nil)
		keys = append(keys, f.Key())
		mustAppend(t, f, []byte("first"))
	}
	appended := make([]map[string]bool, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		appended[g] = make(map[string]bool)
		wg.Go(func() {
			if err := hammer(t, s, keys[g%len(keys)], g, rounds, appended[g]); err != nil {
				t.Errorf("goroutine %d: %v", g, err)
			}
		})
	}
	wg.Wait()
	checkClean(t, s)
	if m, err := s.Metrics(); err != nil || m.OpenFeeds != 4 {
		t.Errorf("%d feeds are open, %v", m.OpenFeeds, err)
	}
	for i, key := range keys {
		f, err := s.Open(t.Context(), key, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		want := 1
		for g := i; g < goroutines; g += len(keys) {
			want += len(appended[g])
		}
		if f.Length() != uint64(want) {
			t.Errorf("feed %d has %d blocks, want %d", i, f.Length(), want)
		}
	}
}

// hammer does a bit of everything to one feed that others work on too.
func hammer(t *testing.T, s *engine.Store, key tree.PublicKey, g, rounds int, appended map[string]bool) error {
	for i := range rounds {
		f, err := s.Open(t.Context(), key, nil)
		if err != nil {
			return err
		}
		text := fmt.Sprint("goroutine ", g, " round ", i)
		seq, err := f.Append(t.Context(), []byte(text))
		if err != nil {
			return err
		}
		appended[text] = true
		b, err := f.Get(t.Context(), seq, &engine.GetOptions{NoWait: true})
		if errors.Is(err, engine.ErrNotPresent) {
			err, b = nil, []byte(text) // another one has cleared it meanwhile
		}
		if err != nil || string(b) != text {
			return fmt.Errorf("block %d is %q, %w", seq, b, err)
		}
		events := f.Subscribe()
		switch i % 6 {
		case 0:
			if _, err := f.Clear(t.Context(), seq/2, seq/2+1); err != nil {
				return err
			}
		case 1:
			if _, err := f.Audit(t.Context(), nil); err != nil {
				return err
			}
		case 2:
			if _, err := f.Proof(seq, 0, false); err != nil {
				return err
			}
			if _, _, err := f.Seek(t.Context(), f.ByteLength()/2, nil); err != nil {
				return err
			}
		case 3:
			if _, err := io.Copy(io.Discard, f.NewReader(t.Context(), &engine.StreamOptions{Start: seq, NoWait: true})); err != nil && !errors.Is(err, engine.ErrNotPresent) {
				return err
			}
		case 4:
			v, err := f.NewView(t.Context(), false)
			if err != nil {
				return err
			}
			tr, err := v.Open("tree")
			if err != nil {
				return err
			}
			if _, err := tr.ReadAt(make([]byte, 100), 0); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
		case 5:
			if _, err := s.Check(t.Context(), nil); err != nil {
				return err
			}
			if err := s.Sync(t.Context()); err != nil {
				return err
			}
		}
		events.Take()
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}
