package engine_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/cairn-feeds/cairn/engine"
	"github.com/cairn-feeds/cairn/tree"
)

// writeFails makes the n-th operation that writes, and all later ones, fail.
func writeFails(n int64) (errorfs.Injector, *atomic.Int64) {
	count := new(atomic.Int64)
	return errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose && count.Add(1) >= n {
			return syscall.ENOSPC
		}
		return nil
	}), count
}

// failBlock is block i of the feed of the failing child.
func failBlock(i int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%d,", i), 1+i%7*100) }

func init() {
	// fail DIR N: appends to a store whose N-th write fails, and prints what was
	// acknowledged.
	children["fail"] = func(args []string) error {
		n, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		inject, count := writeFails(n)
		s, err := engine.Open(args[0], &engine.Options{FS: errorfs.Wrap(vfs.Default, inject), MinFreeBytes: -1})
		if err != nil {
			return err
		}
		info, err := s.Find("mine")
		var f *engine.Feed
		if errors.Is(err, engine.ErrNoFeed) {
			seed := [32]byte{1}
			f, err = s.Create(testContext, &engine.CreateOptions{Name: "mine", Seed: &seed})
		} else if err == nil {
			f, err = s.Open(testContext, info.Key, nil)
		}
		if err != nil {
			return err
		}
		fmt.Println("length", f.Length())
		for i := int(f.Length()); i < 80; i++ {
			if _, err := f.Append(testContext, failBlock(i)); err != nil {
				return readsGoOn(s, f, err)
			}
			fmt.Println("length", i+1)
			if i%16 == 15 {
				if err := s.Flush(testContext); err != nil {
					return readsGoOn(s, f, err)
				}
			}
		}
		fmt.Println("writes", count.Load())
		return s.Close()
	}
}

// readsGoOn checks a store whose write has failed: what was there can be read, and
// nothing can be written.
func readsGoOn(s *engine.Store, f *engine.Feed, cause error) error {
	for i := range f.Length() {
		if b, err := f.Get(testContext, i, nil); err != nil || !bytes.Equal(b, failBlock(int(i))) {
			return fmt.Errorf("READ after %w: block %d: %w", cause, i, err)
		}
	}
	if errors.Is(cause, engine.ErrStoreFailed) {
		if _, err := f.Append(testContext, []byte("x")); !errors.Is(err, engine.ErrStoreFailed) {
			return fmt.Errorf("WRITE after %w: %w", cause, err)
		}
	}
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		return fmt.Errorf("CLOSE hangs after %w", cause)
	}
	return cause
}

// failPatience is how long a process may go on whose writes fail.
const failPatience = 20 * time.Second

// TestEveryWriteFails lets each write of a workload fail in turn, with all that
// follow it. The process may end there; afterwards everything that was acknowledged
// is there, and the store is sound.
func TestEveryWriteFails(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	step := int64(9)
	if os.Getenv("CAIRN_NIGHTLY") != "" {
		step = 1
	}
	base := t.TempDir()
	total := int64(1 << 40)
	ended := 0
	for n := int64(1); n <= total; n += step {
		dir := filepath.Join(base, fmt.Sprint(n))
		limit := n
		if n == 1 {
			limit = 1 << 40 // none fails, to count them
		}
		child := childCommand(t, "fail", dir, fmt.Sprint(limit))
		// Pebble may be left waiting for itself when its log cannot be written; the
		// process is then killed, and what it left has to be as good.
		watchdog := time.AfterFunc(failPatience, func() { child.Process.Kill() })
		out, err := child.Output()
		watchdog.Stop()
		acknowledged := -1
		lines := bufio.NewScanner(bytes.NewReader(out))
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "length "); ok {
				acknowledged, _ = strconv.Atoi(text)
			}
			if text, ok := strings.CutPrefix(lines.Text(), "writes "); ok {
				total, _ = strconv.ParseInt(text, 10, 64)
			}
			if strings.HasPrefix(lines.Text(), "READ") || strings.HasPrefix(lines.Text(), "CLOSE") || strings.HasPrefix(lines.Text(), "WRITE") {
				t.Errorf("write %d: %s", n, lines.Text())
			}
		}
		if n == 1 {
			if err != nil || total > 1e6 {
				t.Fatalf("without failures: %s, %v", out, err)
			}
		} else if err != nil {
			ended++
		}
		verifyFailed(t, dir, acknowledged)
		if t.Failed() {
			t.Fatalf("write %d of %d; the process said %s, %v", n, total, out, err)
		}
		os.RemoveAll(dir)
	}
	if ended == 0 {
		t.Error("no failure was noticed")
	}
}

// verifyFailed opens what a failing child has left.
func verifyFailed(t *testing.T, dir string, acknowledged int) {
	t.Helper()
	s, err := engine.Open(dir, &engine.Options{MinFreeBytes: -1})
	if err != nil {
		t.Errorf("open: %v", err)
		return
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	checkClean(t, s)
	info, err := s.Find("mine")
	if errors.Is(err, engine.ErrNoFeed) && acknowledged < 0 {
		return
	}
	if err != nil || int(info.Length) < acknowledged {
		t.Errorf("length %d of %d acknowledged, %v", info.Length, acknowledged, err)
		return
	}
	f, err := s.Open(testContext, info.Key, nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	for i := range f.Length() {
		if b, err := f.Get(testContext, i, &engine.GetOptions{NoWait: true}); err != nil || !bytes.Equal(b, failBlock(int(i))) {
			t.Errorf("block %d: %v", i, err)
		}
	}
	if _, err := f.Append(testContext, []byte("it goes on")); err != nil {
		t.Error(err)
	}
}

// fullDisk is a file system with little space.
type fullDisk struct {
	vfs.FS
	free atomic.Int64
}

func (d *fullDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: uint64(d.free.Load()), TotalBytes: 1 << 40}, nil
}

// TestNoSpace: below the floor writes are refused, reads and the clean close go on,
// and when there is space again so do writes.
func TestNoSpace(t *testing.T) {
	for name, o := range map[string]engine.Options{"default": {}, "set": {MinFreeBytes: 11_000_000_000}} {
		t.Run(name, func(t *testing.T) {
			disk := &fullDisk{FS: vfs.NewMem()}
			disk.free.Store(12_000_000_000) // the default is one per cent: 10,995,116,277
			o.FS = disk
			s, err := engine.Open("store", &o)
			if err != nil {
				t.Fatal(err)
			}
			f := createFeed(t, s, nil)
			mustAppend(t, f, numbered(20)...)
			disk.free.Store(10_990_000_000)
			// What was promised before the next look may be used up first.
			refused := false
			for range 20 {
				if _, err = f.Append(t.Context(), make([]byte, 1<<20)); err != nil {
					refused = true
					break
				}
			}
			if !refused {
				t.Fatal("the disk is full and writes go on")
			}
			mustFail(t, err, engine.ErrNoSpace)
			if errors.Is(err, engine.ErrStoreFailed) {
				t.Error("a refused write has failed the store")
			}
			length := f.Length()
			_, err = f.Append(t.Context(), []byte("x"))
			mustFail(t, err, engine.ErrNoSpace)
			_, err = s.Create(t.Context(), nil)
			mustFail(t, err, engine.ErrNoSpace)
			b, err := f.Get(t.Context(), 7, nil)
			mustBlock(t, outcome[[]byte]{b, err}, []byte("7 "))
			checkClean(t, s)
			disk.free.Store(12_000_000_000)
			if seq := mustAppend(t, f, []byte("x")); seq != length {
				t.Errorf("seq %d, want %d", seq, length)
			}
			disk.free.Store(0)
			if err := s.Close(); err != nil {
				t.Errorf("close on a full disk: %v", err)
			}
		})
	}
}

// failingLog fails writes and syncs of logs when told to.
func failingLog(on *atomic.Bool) errorfs.Injector {
	return errorfs.InjectorFunc(func(op errorfs.Op) error {
		if on.Load() && strings.HasSuffix(op.Path, ".log") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.EIO
		}
		return nil
	})
}

func init() {
	// poison: the log fails under a store whose embedder keeps the process alive.
	children["poison"] = func([]string) error {
		var on atomic.Bool
		fatal := make(chan string, 1)
		s, err := engine.Open("store", &engine.Options{
			FS:      errorfs.Wrap(vfs.NewMem(), failingLog(&on)),
			OnFatal: func(message string) { fatal <- message; select {} },
		})
		if err != nil {
			return err
		}
		f, err := s.Create(testContext, nil)
		if err != nil {
			return err
		}
		for i := range 5 {
			if _, err := f.Append(testContext, failBlock(i)); err != nil {
				return err
			}
		}
		on.Store(true)
		answered := make(chan error, 1)
		go func() {
			_, err := f.Append(testContext, []byte("lost"))
			answered <- err
		}()
		select {
		case message := <-fatal:
			fmt.Println("fatal", message)
		case err := <-answered:
			if !errors.Is(err, engine.ErrStoreFailed) {
				return fmt.Errorf("the append was answered with %w", err)
			}
		case <-time.After(30 * time.Second):
			return errors.New("nothing happens")
		}
		g, err := s.Open(testContext, f.Key(), nil)
		if err != nil {
			return err
		}
		for i := range uint64(5) {
			if b, err := g.Get(testContext, i, nil); err != nil || !bytes.Equal(b, failBlock(int(i))) {
				return fmt.Errorf("block %d: %w", i, err)
			}
		}
		if _, err := g.Append(testContext, []byte("x")); !errors.Is(err, engine.ErrStoreFailed) {
			return fmt.Errorf("a later append: %w", err)
		}
		r, err := s.Reserved("x")
		if err != nil {
			return err
		}
		if err := r.Set([]byte("k"), []byte("v")); !errors.Is(err, engine.ErrStoreFailed) {
			return fmt.Errorf("a later write: %w", err)
		}
		fmt.Println("reads go on")
		return nil
	}
}

// TestPoisoned: after a failed commit writes are refused and reads go on.
func TestPoisoned(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	out, err := childCommand(t, "poison").Output()
	if err != nil || !strings.Contains(string(out), "reads go on") {
		t.Errorf("the process says %q, %v", out, err)
	}
}

// damageStore makes the files of a store with small and large blocks; unclean
// leaves the last changes in the log.
func damageStore(t testing.TB, unclean bool) (*vfs.MemFS, tree.PublicKey, [][]byte) {
	t.Helper()
	fs := vfs.NewCrashableMem()
	s, err := engine.Open("store", &engine.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	f := createFeed(t, s, nil)
	rng := rand.New(rand.NewPCG(1, 1))
	var blocks [][]byte
	for i := range 120 {
		b := make([]byte, []int{10, 200, 3000}[i%3])
		for k := range b {
			b[k] = byte(rng.Uint32())
		}
		blocks = append(blocks, b)
	}
	mustAppend(t, f, blocks[:64]...)
	for _, b := range blocks[64:90] {
		mustAppend(t, f, b)
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks[90:] {
		mustAppend(t, f, b)
	}
	key := f.Key()
	var left *vfs.MemFS
	if unclean {
		left = fs.CrashClone(vfs.CrashCloneCfg{})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !unclean {
		left = fs.CrashClone(vfs.CrashCloneCfg{})
	}
	return left, key, blocks
}

// TestLargeBlocksStandApart: large values are in files of their own, unless told
// otherwise.
func TestLargeBlocksStandApart(t *testing.T) {
	for _, inline := range []bool{false, true} {
		fs := vfs.NewMem()
		s := openStore(t, &engine.Options{FS: fs, InlineBlocks: inline})
		f := createFeed(t, s, nil)
		mustAppend(t, f, randomBlocks(50, 5000)...)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		blobs := 0
		for _, name := range storeFiles(t, fs) {
			if strings.HasSuffix(name, ".blob") {
				blobs++
			}
		}
		if (blobs > 0) == inline {
			t.Errorf("inline %v: %d blob files", inline, blobs)
		}
	}
}

// TestDamagedFiles flips bits in, and cuts off, every file of a store. Then it does
// not open, or its check reports it, or everything that was acknowledged is there;
// and wrong bytes are never served as good.
func TestDamagedFiles(t *testing.T) {
	rounds := 6
	if os.Getenv("CAIRN_NIGHTLY") != "" {
		rounds = 400
	}
	for _, unclean := range []bool{false, true} {
		template, key, blocks := damageStore(t, unclean)
		rng := rand.New(rand.NewPCG(2, 2))
		outcomes := make(map[string]int)
		for _, name := range storeFiles(t, template) {
			content := readFile(t, template, "store/"+name)
			used := len(content)
			for used > 0 && content[used-1] == 0 {
				used--
			}
			if used == 0 || name == "LOCK" || strings.HasPrefix(name, "OPTIONS") || name == "RUNNING" {
				continue // nothing that a feed consists of
			}
			for range rounds {
				fs := template.CrashClone(vfs.CrashCloneCfg{})
				damaged := bytes.Clone(content)
				what := "flip"
				if rng.IntN(4) == 0 {
					what = "cut"
					damaged = damaged[:rng.IntN(used)]
				} else {
					at := rng.IntN(used)
					damaged[at] ^= 1 << rng.IntN(8)
				}
				writeFile(t, fs, "store/"+name, damaged)
				result := tryDamaged(t, fs, key, blocks)
				outcomes[filepath.Ext(name)+" "+what+": "+result]++
				if t.Failed() {
					t.Fatalf("unclean %v: %s of %s", unclean, what, name)
				}
			}
		}
		t.Logf("unclean %v: %v", unclean, outcomes)
	}
}

// tryDamaged opens a damaged store and tells what came of it.
func tryDamaged(t *testing.T, fs vfs.FS, key tree.PublicKey, blocks [][]byte) string {
	t.Helper()
	fatal := make(chan struct{}, 16)
	s, err := engine.Open("store", &engine.Options{FS: fs, MustExist: true, ReadOnly: false, OnFatal: func(m string) {
		fatal <- struct{}{}
		panic("fatal: " + m)
	}})
	if err != nil {
		return "not opened"
	}
	defer s.Close()
	report, err := s.Check(t.Context(), nil)
	told := err != nil || report.Problems > 0 || len(s.Recovery().SetAside) > 0
	f, err := s.Open(t.Context(), key, &engine.FeedOptions{MustExist: true})
	if err != nil {
		if !told {
			t.Errorf("the feed is gone and nobody says so: %v", err)
		}
		return "told, no feed"
	}
	defer f.Close()
	intact := f.Length() == uint64(len(blocks))
	for i := range f.Length() {
		b, err := f.Get(t.Context(), i, &engine.GetOptions{NoWait: true})
		if err != nil {
			intact = false
		} else if !bytes.Equal(b, blocks[i]) {
			t.Errorf("block %d is served with wrong bytes", i)
		}
	}
	switch {
	case told:
		return "told"
	case !intact:
		t.Errorf("length %d of %d, and nobody says so", f.Length(), len(blocks))
		return "silent loss"
	}
	return "intact"
}
