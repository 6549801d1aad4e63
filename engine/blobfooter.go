package engine

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The footer of a blob file: checksum 4, little-endian, over the rest of it.
const blobFooterSize = 38

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Open implements vfs.FS. It refuses blob files with a damaged footer: Pebble 2.1
// panics when it finds one itself, in whatever goroutine that happens.
func (s *databaseFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := s.FS.Open(name, opts...)
	if err != nil || !strings.HasSuffix(name, ".blob") {
		return f, err
	}
	if err := checkBlobFooter(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return f, nil
}

// checkBlobFooter compares the footer of a blob file with its checksum.
func checkBlobFooter(f vfs.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var b [blobFooterSize]byte
	if info.Size() < blobFooterSize {
		return fmt.Errorf("blob file of %d bytes: %w", info.Size(), ErrCorrupt)
	}
	if _, err := f.ReadAt(b[:], info.Size()-blobFooterSize); err != nil {
		return err
	}
	c := crc32.Checksum(b[4:], castagnoli)
	if c = (c>>15 | c<<17) + 0xa282ead8; c != binary.LittleEndian.Uint32(b[:]) { // masked as in LevelDB
		return fmt.Errorf("checksum of the blob file's footer: %w", ErrCorrupt)
	}
	return nil
}
