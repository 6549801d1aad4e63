package randomaccesstest_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/randomaccess/randomaccesstest"
)

func TestDisk(t *testing.T) {
	randomaccesstest.Test(t, func(testing.TB) randomaccess.Opener {
		return randomaccesstest.NewDisk().Open
	}, randomaccesstest.Options{})
}

// A faulty opener that never fails is a storage like any other.
func TestInjectNothing(t *testing.T) {
	randomaccesstest.Test(t, func(testing.TB) randomaccess.Opener {
		return randomaccesstest.Inject(randomaccess.NewMemory(randomaccess.MemoryOptions{}).Open,
			func(randomaccesstest.Op) *randomaccesstest.Fault { return nil })
	}, randomaccesstest.Options{})
}

func TestFailNth(t *testing.T) {
	memory := randomaccess.NewMemory(randomaccess.MemoryOptions{})
	full := errors.New("disk full")
	open := randomaccesstest.Inject(memory.Open, randomaccesstest.FailNth(1, true, randomaccesstest.Fault{Err: full, Part: 2}))
	s, err := open("data")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.WriteAt([]byte("abc"), 0); err != nil {
		t.Fatal(err)
	}
	if n, err := s.WriteAt([]byte("XYZ"), 3); n != 2 || !errors.Is(err, full) {
		t.Errorf("second write = %d, %v, want 2 and the fault", n, err)
	}
	if err := s.Sync(); !errors.Is(err, full) {
		t.Errorf("Sync after a sticky fault: %v", err)
	}
	got := make([]byte, 5)
	if _, err := s.ReadAt(got, 0); err != nil || string(got) != "abcXY" {
		t.Errorf("read %q, %v, want abcXY", got, err)
	}
}

func TestDiskCrash(t *testing.T) {
	disk := randomaccesstest.NewDisk()
	s, err := disk.Open("bitfield")
	if err != nil {
		t.Fatal(err)
	}
	durable := bytes.Repeat([]byte("d"), 3*512)
	later := bytes.Repeat([]byte("L"), 3*512)
	for _, err := range []error{
		second(s.WriteAt(durable, 0)),
		s.Sync(),
		second(s.WriteAt(later, 512)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	all := append(durable[:512:512], later...)
	rng := rand.New(rand.NewPCG(1, 2))
	if got := disk.Crash(randomaccesstest.LoseNothing, rng).Content("bitfield"); !bytes.Equal(got, all) {
		t.Error("LoseNothing lost something")
	}
	if got := disk.Crash(randomaccesstest.LoseUnsynced, rng).Content("bitfield"); !bytes.Equal(got, durable) {
		t.Error("LoseUnsynced is not what was synced")
	}
	torn, mixed := map[int]bool{}, map[string]bool{}
	for range 200 {
		got := disk.Crash(randomaccesstest.TearLast, rng).Content("bitfield")
		n := bytes.Count(got, []byte("L"))
		if want := append(all[:512+n:512+n], make([]byte, 0)...); !bytes.HasPrefix(got, want) || n == len(later) {
			t.Fatalf("TearLast kept %d bytes, not a prefix of the write", n)
		}
		torn[n] = true

		got = disk.Crash(randomaccesstest.LoseSome, rng).Content("bitfield")
		pattern := ""
		for i := 0; i < len(got); i += 512 {
			if part := got[i:min(i+512, len(got))]; bytes.Count(part, part[:1]) != 512 {
				t.Fatalf("sector at %d is torn", i)
			}
			pattern += string(got[i])
		}
		mixed[pattern] = true
	}
	// Sectors 1 and 2 are old or new; sector 3 is new, a hole, or past the end.
	if len(torn) < 50 || len(mixed) != 8 || !mixed["dLd"] || !mixed["dddL"] {
		t.Errorf("%d ways to tear, sectors found: %v", len(torn), mixed)
	}
	// The crashed disk is a disk, and is not locked.
	after := disk.Crash(randomaccesstest.LoseUnsynced, rng)
	if _, err := after.Open("bitfield"); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }
