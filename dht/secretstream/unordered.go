package secretstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/nacl/secretbox"

	"github.com/cairn-feeds/cairn/dht/internal/hash"
)

const (
	boxCounterSize = 8
	// UnorderedOverhead is by how many bytes the datagram of Send is
	// longer than its message.
	UnorderedOverhead = boxCounterSize + secretbox.Overhead
)

// boxes seal unordered messages:
//
//	+---------+-----------------------------------+
//	| counter | secretbox(message)                |
//	| 8       | MAC 16, then as long as message   |
//	+---------+-----------------------------------+
//
// The nonce is the counter and 16 zero bytes. The counter starts anywhere and
// grows by one, little-endian, before each use.
type boxes struct {
	tx, rx [32]byte

	mu struct {
		sync.Mutex
		counter uint64
		left    uint64 // messages that may still be sent
		buf     []byte
	}
}

func (b *boxes) init(handshakeHash [64]byte, initiator bool, random io.Reader) error {
	b.tx = hash.Keyed(handshakeHash[:], side(initiator), nsSend[:])
	b.rx = hash.Keyed(handshakeHash[:], side(!initiator), nsSend[:])
	var start [boxCounterSize]byte
	if _, err := io.ReadFull(random, start[:]); err != nil {
		return err
	}
	b.mu.counter = binary.LittleEndian.Uint64(start[:])
	b.mu.left = 1<<64 - 1 // with one more a counter would repeat
	return nil
}

// Send sends a message outside of the stream: it may arrive before,
// after, never, or more than once. It must fit in one datagram with
// UnorderedOverhead; 1,100 bytes are safe on a UDX stream. Send waits for nothing
// but the handshake. The error is errors.ErrUnsupported when the raw stream does
// not have Send(b []byte) error and Receive(context.Context) ([]byte, error).
func (c *Conn) Send(message []byte) error {
	m, err := c.messenger(context.Background())
	if err != nil {
		return err
	}
	mu := &c.boxes.mu
	mu.Lock()
	defer mu.Unlock()
	if mu.left == 0 {
		c.destroy(errExhausted)
		return errExhausted
	}
	mu.left--
	mu.counter++
	var nonce [24]byte
	binary.LittleEndian.PutUint64(nonce[:], mu.counter)
	mu.buf = append(mu.buf[:0], nonce[:boxCounterSize]...)
	mu.buf = secretbox.Seal(mu.buf, message, &nonce, &c.boxes.tx)
	return m.Send(mu.buf)
}

var errExhausted = errors.New("secretstream: no nonce is left for unordered messages")

// Receive returns the next message of the peer's Send. The caller owns it.
// Datagrams that are not authentic are dropped; repetitions are not, since nothing
// tells them from new messages. The error is errors.ErrUnsupported where it is for
// Send.
func (c *Conn) Receive(ctx context.Context) ([]byte, error) {
	m, err := c.messenger(ctx)
	if err != nil {
		return nil, err
	}
	for {
		datagram, err := m.Receive(ctx)
		if err != nil {
			if ended := c.ended(); ended != nil {
				err = ended
			}
			return nil, err
		}
		if len(datagram) < UnorderedOverhead {
			continue
		}
		var nonce [24]byte
		copy(nonce[:], datagram[:boxCounterSize])
		if message, ok := secretbox.Open(nil, datagram[boxCounterSize:], &nonce, &c.boxes.rx); ok {
			return message, nil
		}
	}
}

// messenger waits for the keys and returns the raw stream as what it must be.
func (c *Conn) messenger(ctx context.Context) (messenger, error) {
	m, ok := c.raw.(messenger)
	if !ok {
		return nil, fmt.Errorf("secretstream: unordered messages on a %T: %w", c.raw, errors.ErrUnsupported)
	}
	if err := c.Handshake(ctx); err != nil {
		return nil, err
	}
	return m, c.ended()
}
