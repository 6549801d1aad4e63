package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cairn-feeds/cairn/engine/randomaccess"
	"github.com/cairn-feeds/cairn/engine/sleep"
)

// ExportOptions say what an export writes.
type ExportOptions struct {
	// Public leaves the secret key out. By default that of a writable feed is
	// written: then it exists twice, and appending in both places forks the feed.
	Public bool
	// Progress, when not nil, is called now and then with the bytes written so far
	// and in all.
	Progress func(done, total uint64)
}

// exportChunk is how many bytes of a view are copied at a time.
const exportChunk = 1 << 20

// Export writes the feed as the six files of hypercore 9 through an opener whose
// files must be empty. Files that hypercore 9 would not have written, the secret
// key of a reader and the data of a feed without any, are not written. The bitfield,
// which says what the others hold, comes last and after the others are synced: an
// export that was interrupted is an empty feed.
//
// ErrFeedExists is returned when a file is there already.
func (f *Feed) Export(ctx context.Context, open randomaccess.Opener, opts *ExportOptions) error {
	var o ExportOptions
	if opts != nil {
		o = *opts
	}
	v, err := f.NewView(ctx, !o.Public)
	if err != nil {
		return err
	}
	e := exporter{ctx: ctx, view: v, open: open, progress: o.Progress}
	if err := e.run(); err != nil {
		return f.fail(fmt.Errorf("export: %w", err))
	}
	return nil
}

type exporter struct {
	ctx         context.Context
	view        *View
	open        randomaccess.Opener
	progress    func(done, total uint64)
	done, total uint64
}

// exportOrder is the order in which files are written.
var exportOrder = []string{
	sleep.KeyFile, sleep.SecretKeyFile, sleep.DataFile, sleep.TreeFile, sleep.SignaturesFile, sleep.BitfieldFile,
}

func (e *exporter) run() (err error) {
	var files []exportFile
	defer func() {
		for _, f := range files {
			err = errors.Join(err, f.dst.Close())
		}
	}()
	for _, name := range exportOrder {
		f, err := e.prepare(name)
		if err != nil {
			return err
		}
		if f.size > 0 {
			files = append(files, f)
			e.total += uint64(f.size)
		}
	}
	for i, f := range files {
		if i == len(files)-1 { // the bitfield
			for _, other := range files[:i] {
				if err := other.dst.Sync(); err != nil {
					return err
				}
			}
		}
		if err := e.copy(f); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return files[len(files)-1].dst.Sync()
}

type exportFile struct {
	name     string
	size     int64
	src, dst randomaccess.Storage
}

// prepare opens a file on both sides. A file that is to stay empty is not opened
// there.
func (e *exporter) prepare(name string) (exportFile, error) {
	src, err := e.view.Open(name)
	if err != nil {
		return exportFile{}, err
	}
	info, err := src.Stat()
	if err != nil || info.Size == 0 {
		return exportFile{}, err
	}
	dst, err := e.open(name)
	if err != nil {
		return exportFile{}, err
	}
	there, err := dst.Stat()
	if err == nil && there.Size > 0 {
		err = fmt.Errorf("%w: file %s is there already", ErrFeedExists, name)
	}
	if err != nil {
		return exportFile{}, errors.Join(err, dst.Close())
	}
	return exportFile{name, info.Size, src, dst}, nil
}

func (e *exporter) copy(f exportFile) error {
	buf := make([]byte, min(exportChunk, f.size))
	for off := int64(0); off < f.size; {
		if err := e.ctx.Err(); err != nil {
			return context.Cause(e.ctx)
		}
		n, err := f.src.ReadAt(buf[:min(int64(len(buf)), f.size-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if _, err := f.dst.WriteAt(buf[:n], off); err != nil {
			return err
		}
		off += int64(n)
		e.done += uint64(n)
		if e.progress != nil {
			e.progress(e.done, e.total)
		}
	}
	return nil
}
