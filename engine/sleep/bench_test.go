package sleep_test

import (
	"fmt"
	"testing"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
)

func BenchmarkAppend(b *testing.B) {
	for _, sync := range []bool{false, true} {
		for _, batch := range []int{1, 1000} {
			b.Run(fmt.Sprintf("sync=%t/batch=%d", sync, batch), func(b *testing.B) {
				w := openWriter(b, randomaccess.NewDirectory(b.TempDir(), randomaccess.DirectoryOptions{}).Open, sleep.Options{Sync: sync})
				blocks := make([][]byte, batch)
				for i := range blocks {
					blocks[i] = make([]byte, 1024)
				}
				b.SetBytes(int64(1024 * batch))
				b.ReportAllocs()
				for b.Loop() {
					w.append(blocks...)
				}
			})
		}
	}
}

// BenchmarkCommit leaves hashing and signing out.
func BenchmarkCommit(b *testing.B) {
	w := openWriter(b, randomaccess.NewDirectory(b.TempDir(), randomaccess.DirectoryOptions{}).Open, sleep.Options{})
	block := make([]byte, 1024)
	changes := make([]sleep.Change, 0, 20000)
	for range cap(changes) {
		changes = append(changes, w.change(block))
	}
	b.SetBytes(1024)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := w.Commit(changes[i%len(changes)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadBlock(b *testing.B) {
	w := openWriter(b, randomaccess.NewDirectory(b.TempDir(), randomaccess.DirectoryOptions{}).Open, sleep.Options{})
	blocks := make([][]byte, 100_000)
	for i := range blocks {
		blocks[i] = make([]byte, 1024)
	}
	w.append(blocks...)
	buf := make([]byte, 0, 1024)
	b.SetBytes(1024)
	b.ReportAllocs()
	for n := uint64(0); b.Loop(); n = (n + 7919) % uint64(len(blocks)) {
		if _, err := w.ReadBlock(buf, n); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, length := range []int{10, 1_000_000} {
		b.Run(fmt.Sprintf("length=%d", length), func(b *testing.B) {
			dir := randomaccess.NewDirectory(b.TempDir(), randomaccess.DirectoryOptions{})
			w := openWriter(b, dir.Open, sleep.Options{})
			w.append(make([][]byte, length)...)
			w.Close()
			b.ReportAllocs()
			for b.Loop() {
				f, err := sleep.Open(b.Context(), dir.Open, sleep.Options{})
				if err != nil {
					b.Fatal(err)
				}
				f.Close()
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	w := openWriter(b, randomaccess.NewDirectory(b.TempDir(), randomaccess.DirectoryOptions{}).Open, sleep.Options{})
	blocks := make([][]byte, 50_000)
	for i := range blocks {
		blocks[i] = make([]byte, 1024)
	}
	w.append(blocks...)
	b.SetBytes(int64(1024 * len(blocks)))
	for b.Loop() {
		if report, err := w.Verify(b.Context(), sleep.VerifyOptions{}); err != nil || !report.OK() {
			b.Fatal(report, err)
		}
	}
}
