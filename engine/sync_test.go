package engine_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/cairn-feeds/cairn/bitmap/demand"
	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// countingFS counts the syncs of logs.
type countingFS struct {
	vfs.FS
	syncs atomic.Int64
}

func (c *countingFS) count(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || !strings.HasSuffix(name, ".log") {
		return f, err
	}
	return countingFile{f, &c.syncs}, nil
}

func (c *countingFS) Create(name string, w vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.Create(name, w)
	return c.count(name, f, err)
}

func (c *countingFS) ReuseForWrite(from, name string, w vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := c.FS.ReuseForWrite(from, name, w)
	return c.count(name, f, err)
}

type countingFile struct {
	vfs.File
	syncs *atomic.Int64
}

func (c countingFile) Sync() error {
	c.syncs.Add(1)
	return c.File.Sync()
}

func (c countingFile) SyncData() error {
	c.syncs.Add(1)
	return c.File.SyncData()
}

func (c countingFile) SyncTo(n int64) (bool, error) {
	full, err := c.File.SyncTo(n)
	if full {
		c.syncs.Add(1)
	}
	return full, err
}

// TestAcknowledgementsFollowSyncs: under SyncAlways each answer to a write comes
// after a sync of the log; under SyncNever writes cause none.
func TestAcknowledgementsFollowSyncs(t *testing.T) {
	fs := &countingFS{FS: vfs.NewMem()}
	s := openStore(t, &engine.Options{FS: fs})
	f := createFeed(t, s, nil)
	r, err := s.Reserved("x")
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, f, testBlocks(20)...)
	cleared, names := uint64(0), 0
	writes := map[string]func() error{
		"append": func() error { _, err := f.Append(t.Context(), []byte("x")); return err },
		"batch":  func() error { _, err := f.Append(t.Context(), testBlocks(50)...); return err },
		"clear": func() error {
			_, err := f.Clear(t.Context(), cleared, 0)
			cleared++
			return err
		},
		"name": func() error {
			names++
			return s.SetName(t.Context(), f.DiscoveryKey(), fmt.Sprint("name ", names))
		},
		"reserved": func() error { return r.Set([]byte("k"), []byte("v")) },
		"create": func() error {
			g, err := s.Create(t.Context(), nil)
			if err == nil {
				err = g.Close()
			}
			return err
		},
	}
	for name, write := range writes {
		for range 20 {
			before := fs.syncs.Load()
			if err := write(); err != nil {
				t.Fatal(err)
			}
			if fs.syncs.Load() == before {
				t.Fatalf("%s was answered without a sync", name)
			}
		}
	}
	m, err := s.Metrics()
	if err != nil || m.Syncs < 120 || m.Changes < m.Commits || m.Commits < 120 {
		t.Errorf("metrics %+v, %v", m, err)
	}

	never := &countingFS{FS: vfs.NewMem()}
	s = openStore(t, &engine.Options{FS: never, Sync: engine.SyncNever})
	f = createFeed(t, s, nil)
	before := never.syncs.Load()
	if before == 0 {
		t.Error("the key pair was not synced")
	}
	for range 100 {
		mustAppend(t, f, []byte("x"))
	}
	if n := never.syncs.Load() - before; n != 0 {
		t.Errorf("%d syncs under SyncNever", n)
	}
	if err := s.Sync(t.Context()); err != nil || never.syncs.Load() == before {
		t.Errorf("Sync did not sync: %v", err)
	}
}

// TestKeyPairIsDurable: a key that was shown survives a crash, under every policy.
func TestKeyPairIsDurable(t *testing.T) {
	for _, policy := range []engine.SyncPolicy{engine.SyncAlways, engine.SyncPeriodic, engine.SyncNever} {
		t.Run(policy.String(), func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			s := openStore(t, &engine.Options{FS: fs, Sync: policy})
			for i := range 5 {
				f := createFeed(t, s, &engine.CreateOptions{Name: fmt.Sprint("feed ", i)})
				clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
				c, err := engine.Open("store", &engine.Options{FS: clone, MustExist: true})
				if err != nil {
					t.Fatal(err)
				}
				sk, err := c.ExportSecret(f.DiscoveryKey())
				if err != nil || sk.Public() != f.Key() {
					t.Errorf("the secret key after a crash: %v", err)
				}
				if info, err := c.Find(fmt.Sprint("feed ", i)); err != nil || info.Key != f.Key() {
					t.Errorf("the name after a crash: %v", err)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestOffered: what a writer may give away is on stable storage, under each policy.
func TestOffered(t *testing.T) {
	// crashed returns the length that a loss of power now would leave.
	crashed := func(t *testing.T, fs *vfs.MemFS, f *engine.Feed) uint64 {
		t.Helper()
		clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
		s, err := engine.Open("store", &engine.Options{FS: clone, ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		info, err := s.Info(f.DiscoveryKey())
		if err != nil {
			t.Fatal(err)
		}
		return info.Length
	}
	want := func(t *testing.T, fs *vfs.MemFS, f *engine.Feed, offered uint64) {
		t.Helper()
		synctest.Wait()
		if got := f.Offered(); got != offered {
			t.Errorf("offered %d, want %d", got, offered)
		}
		if n := crashed(t, fs, f); n < f.Offered() {
			t.Errorf("%d blocks are offered, a crash leaves %d", f.Offered(), n)
		}
	}
	t.Run("always", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			f := createFeed(t, openStore(t, &engine.Options{FS: fs}), nil)
			mustAppend(t, f, testBlocks(3)...)
			want(t, fs, f, 3)
		})
	})
	t.Run("periodic", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			f := createFeed(t, openStore(t, &engine.Options{FS: fs, Sync: engine.SyncPeriodic, SyncInterval: time.Minute}), nil)
			events := f.Subscribe()
			for i := uint64(0); i < 4; i += 2 {
				mustAppend(t, f, testBlocks(1)...)
				time.Sleep(50 * time.Second)
				mustAppend(t, f, testBlocks(1)...)
				want(t, fs, f, i)
				if events.Take().Offered {
					t.Error("offered before it was")
				}
				time.Sleep(11 * time.Second)
				want(t, fs, f, i+2)
				if !events.Take().Offered {
					t.Error("no event")
				}
			}
		})
	})
	t.Run("never", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			s := openStore(t, &engine.Options{FS: fs, Sync: engine.SyncNever})
			f := createFeed(t, s, nil)
			mustAppend(t, f, testBlocks(3)...)
			time.Sleep(time.Hour)
			want(t, fs, f, 0)
			// A peer makes the difference.
			src := f.Demand().Attach(func(demand.Item) bool { return false })
			f.RequestSync()
			time.Sleep(time.Second)
			want(t, fs, f, 3)
			mustAppend(t, f, testBlocks(1)...)
			time.Sleep(time.Second)
			want(t, fs, f, 4)
			src.Detach()
			mustAppend(t, f, testBlocks(1)...)
			time.Sleep(time.Hour)
			want(t, fs, f, 4)
			if err := s.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			want(t, fs, f, 5)
		})
	})
	t.Run("reopened", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			s := openStore(t, &engine.Options{FS: fs, Sync: engine.SyncNever})
			f := createFeed(t, s, nil)
			mustAppend(t, f, testBlocks(3)...)
			f.Close()
			for range 2 { // that a handle was closed synced nothing
				g, err := s.Open(t.Context(), f.Key(), nil)
				if err != nil {
					t.Fatal(err)
				}
				want(t, fs, g, 0)
				g.Close()
			}
			g, err := s.Open(t.Context(), f.Key(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			g.Demand().Attach(func(demand.Item) bool { return false })
			g.RequestSync()
			time.Sleep(time.Second)
			want(t, fs, g, 3)
		})
	})
	t.Run("closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			s := openStore(t, &engine.Options{FS: fs, Sync: engine.SyncNever})
			f := createFeed(t, s, nil)
			mustAppend(t, f, testBlocks(3)...)
			f.Close()
			if err := s.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
			g, err := s.Open(t.Context(), f.Key(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer g.Close()
			want(t, fs, g, 3)
		})
	})
	t.Run("replica", func(t *testing.T) {
		writer, f := writerAndReplica(t, backends()[0], testBlocks(3))
		transfer(t, writer, f, 2, true)
		if f.Offered() != 3 {
			t.Errorf("a replica offers %d", f.Offered())
		}
	})
}

// crashStore makes a store with a feed of 5 synced blocks and 5 that are not, and
// opens what a loss of power leaves.
func crashStore(t *testing.T, policy engine.SyncPolicy) (*engine.Store, tree.KeyPair) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s := openStore(t, &engine.Options{FS: fs, Sync: policy, SyncInterval: time.Hour})
	pair := newPair(1)
	o := &engine.CreateOptions{}
	o.SecretKey = &pair.Secret
	f := createFeed(t, s, o)
	empty := createFeed(t, s, nil)
	mustAppend(t, f, numbered(5)...)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, f, numbered(10)[5:]...)
	clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0, RNG: rand.New(rand.NewPCG(1, 1))})
	c := openStore(t, &engine.Options{FS: clone, MustExist: true})
	if !c.Recovery().Unclean {
		t.Error("the crash was not noticed")
	}
	g, err := c.Open(t.Context(), empty.Key(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if g.Guarded() {
		t.Error("a feed without blocks is guarded")
	}
	checkClean(t, c)
	return c, pair
}

// TestUncleanEnd: after a crash under a policy that loses changes, feeds start
// guarded, until a peer proved a length that is not above theirs.
func TestUncleanEnd(t *testing.T) {
	for _, policy := range []engine.SyncPolicy{engine.SyncAlways, engine.SyncPeriodic, engine.SyncNever} {
		t.Run(policy.String(), func(t *testing.T) {
			s, pair := crashStore(t, policy)
			f, err := s.Open(t.Context(), pair.Public, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if policy == engine.SyncAlways {
				if f.Guarded() || f.Length() != 10 || s.Recovery().Guarded != 0 {
					t.Errorf("guarded %v, length %d", f.Guarded(), f.Length())
				}
				return
			}
			if !f.Guarded() || f.Length() != 5 || s.Recovery().Guarded != 1 {
				t.Errorf("guarded %v, length %d, recovery %+v", f.Guarded(), f.Length(), s.Recovery())
			}
			_, err = f.Append(t.Context(), []byte("x"))
			mustFail(t, err, engine.ErrGuarded)
			if f.Length() != 5 {
				t.Error("a refused append left something")
			}
			if info, err := s.Info(f.DiscoveryKey()); err != nil || !info.Guarded {
				t.Errorf("info %+v, %v", info, err)
			}

			other := backends()[0].create(t, pair)
			mustAppend(t, other, numbered(5)...)
			mustAppend(t, other, numbered(10)[5:]...)
			// A proof without a signature proves no length, nor does a forged one.
			digest, err := f.Digest(4)
			if err != nil {
				t.Fatal(err)
			}
			p, err := other.Proof(4, digest, false)
			if err != nil {
				t.Fatal(err)
			}
			p.HasSignature = false
			_, _ = f.Deliver(t.Context(), nil, []tree.Delivery{{Block: 4, Data: numbered(5)[4], HasData: true, Proof: p}})
			forged, err := other.Proof(4, 0, false)
			if err != nil {
				t.Fatal(err)
			}
			forged.Signature[5] ^= 1
			_, _ = f.Deliver(t.Context(), nil, []tree.Delivery{{Block: 4, Data: numbered(5)[4], HasData: true, Proof: forged}})
			if !f.Guarded() {
				t.Fatal("the guard fell without a proof")
			}
			// The other copy is ahead: we catch up, and go on behind it.
			transfer(t, other, f, 9, true)
			if f.Guarded() || f.Length() != 10 {
				t.Errorf("guarded %v, length %d", f.Guarded(), f.Length())
			}
			if seq := mustAppend(t, f, []byte("x")); seq != 10 {
				t.Errorf("seq %d", seq)
			}
		})
	}
}

// TestUnguard: whoever knows better may force it, and it stays forced.
func TestUnguard(t *testing.T) {
	s, pair := crashStore(t, engine.SyncNever)
	f, err := s.Open(t.Context(), pair.Public, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Unguard(t.Context()); err != nil || f.Guarded() {
		t.Errorf("guarded %v, %v", f.Guarded(), err)
	}
	mustAppend(t, f, []byte("x"))
	f.Close()
	if f, err = s.Open(t.Context(), pair.Public, nil); err != nil || f.Guarded() {
		t.Errorf("guarded %v, %v", f.Guarded(), err)
	}
	f.Close()
}

// TestGuardSurvivesOpening: a second crash, or an opening that only looks, does not
// take the guard away.
func TestGuardSurvivesOpening(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := openStore(t, &engine.Options{FS: fs, Sync: engine.SyncNever})
	f := createFeed(t, s, nil)
	mustAppend(t, f, numbered(5)...)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	clone := fs.CrashClone(vfs.CrashCloneCfg{})
	r, err := engine.Open("store", &engine.Options{FS: clone, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	for _, policy := range []engine.SyncPolicy{engine.SyncAlways, engine.SyncPeriodic} {
		c, err := engine.Open("store", &engine.Options{FS: clone, Sync: policy})
		if err != nil {
			t.Fatal(err)
		}
		if info, err := c.Info(f.DiscoveryKey()); err != nil || !info.Guarded {
			t.Errorf("%v: info %+v, %v", policy, info, err)
		}
		next := clone.CrashClone(vfs.CrashCloneCfg{})
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		clone = next
	}
}

// TestImportSecret: a writer's key beside a copy of the feed starts guarded.
func TestImportSecret(t *testing.T) {
	pair := newPair(1)
	writer, replica := writerAndReplica(t, backends()[0], numbered(5))
	_ = replica
	s := openStore(t, nil)
	f, err := s.Open(t.Context(), pair.Public, &engine.FeedOptions{Sparse: true})
	if err != nil {
		t.Fatal(err)
	}
	transfer(t, writer, f, 4, false)
	if err := s.ImportSecret(t.Context(), pair.Secret); err == nil {
		t.Error("a key was imported under an open reader")
	}
	f.Close()
	damaged := pair.Secret
	damaged[0] ^= 1
	mustFail(t, s.ImportSecret(t.Context(), damaged), tree.ErrKeyMismatch)
	for range 2 {
		if err := s.ImportSecret(t.Context(), pair.Secret); err != nil {
			t.Fatal(err)
		}
	}
	if f, err = s.Open(t.Context(), pair.Public, nil); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.ImportSecret(t.Context(), pair.Secret); err != nil {
		t.Errorf("import of a key that is here: %v", err)
	}
	if !f.Writable() || !f.Guarded() {
		t.Errorf("writable %v, guarded %v", f.Writable(), f.Guarded())
	}
	_, err = f.Append(t.Context(), []byte("x"))
	mustFail(t, err, engine.ErrGuarded)
	transfer(t, writer, f, 3, false)
	if f.Guarded() {
		// The proof of block 3 needed no signature. One that has one does it.
		p, err := writer.Proof(3, 0, false)
		if err == nil {
			err = f.Put(t.Context(), 3, numbered(5)[3], p)
		}
		if err != nil || f.Guarded() {
			t.Errorf("guarded %v, %v", f.Guarded(), err)
		}
	}
	if seq := mustAppend(t, f, []byte("x")); seq != 5 {
		t.Errorf("seq %d", seq)
	}

	// A feed that is new to the store starts guarded too: it may be anywhere.
	if err := s.ImportSecret(t.Context(), newPair(2).Secret); err != nil {
		t.Fatal(err)
	}
	g, err := s.Open(t.Context(), newPair(2).Public, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	_, err = g.Append(t.Context(), []byte("x"))
	mustFail(t, err, engine.ErrGuarded)
	checkClean(t, s)
}

// TestSetAside: the end of a log that cannot be replayed is kept, and told.
func TestSetAside(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := openStore(t, &engine.Options{FS: fs})
	f := createFeed(t, s, nil)
	for _, b := range numbered(50) {
		mustAppend(t, f, b)
	}
	clone := fs.CrashClone(vfs.CrashCloneCfg{})
	log := ""
	for _, name := range storeFiles(t, clone) {
		if strings.HasSuffix(name, ".log") {
			log = name
		}
	}
	b := readFile(t, clone, "store/"+log)
	end := len(b)
	for b[end-1] == 0 {
		end--
	}
	b[end-5] ^= 1
	writeFile(t, clone, "store/"+log, b)
	c, err := engine.Open("store", &engine.Options{FS: clone})
	if err != nil {
		// Told as well: the log was damaged where it had been synced.
		if !pebble.IsCorruptionError(err) {
			t.Errorf("open: %v", err)
		}
		return
	}
	defer c.Close()
	r := c.Recovery()
	if !r.Unclean || len(r.SetAside) != 1 || r.LostBytes == 0 {
		t.Fatalf("recovery %+v", r)
	}
	if kept := readFile(t, clone, r.SetAside[0]); string(kept) != string(b) {
		t.Errorf("%d bytes are kept, want the %d of the log", len(kept), len(b))
	}
	info, err := c.Info(f.DiscoveryKey())
	if err != nil || info.Length != 49 {
		t.Errorf("info %+v, %v", info, err)
	}
	checkClean(t, c)
}
