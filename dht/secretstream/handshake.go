package secretstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cairn-feeds/cairn/dht/internal/hash"
	"github.com/cairn-feeds/cairn/dht/internal/noise"
)

var (
	nsInitiator = hash.Namespace("hyperswarm/secret-stream", 0)
	nsResponder = hash.Namespace("hyperswarm/secret-stream", 1)
	nsSend      = hash.Namespace("hyperswarm/secret-stream", 2)
)

const (
	idSize     = hash.Size
	headerSize = idSize + cipherHeaderSize
)

// side is the namespace of one end.
func side(initiator bool) []byte {
	if initiator {
		return nsInitiator[:]
	}
	return nsResponder[:]
}

// StreamID returns what one end of the stream with that handshake hash announces
// itself with. It is no secret.
func StreamID(handshakeHash [64]byte, initiator bool) [32]byte {
	return hash.Keyed(handshakeHash[:], side(initiator))
}

// shakeHands runs the Noise handshake on the raw stream, one message a frame, and
// opens the stream.
func (c *Conn) shakeHands() error {
	if d := c.opt.HandshakeTimeout; d > 0 {
		timer := time.AfterFunc(d, func() { c.destroy(fmt.Errorf("%w: %w", ErrHandshake, ErrTimeout)) })
		defer timer.Stop()
	}
	h := c.handshake
	var out []byte // of this side, not written yet
	for sending := c.initiator; !h.Complete(); sending = !sending {
		if sending {
			message, err := h.Send(nil, nil)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrHandshake, err)
			}
			out = appendFrame(out, message)
			continue
		}
		if len(out) > 0 {
			if _, err := c.raw.Write(out); err != nil {
				return fmt.Errorf("%w: %w", ErrHandshake, err)
			}
			out = nil
		}
		region, err := c.read.frames.next(noise.MaxMessage)
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrHandshake, err)
		}
		if _, err := h.Recv(nil, region[scratch:]); err != nil {
			return fmt.Errorf("%w: %w", ErrHandshake, err)
		}
	}
	if len(out) > 0 {
		c.write.Lock()
		c.queueLocked(func(b []byte) []byte { return append(b, out...) })
		c.write.Unlock()
	}
	r, _ := h.Result()
	c.handshake = nil
	return c.open(Keys(r))
}

// open starts both ciphers and queues the header:
//
//	+-----------+---------------+
//	| stream id | cipher header |
//	| 32        | 24            |
//	+-----------+---------------+
func (c *Conn) open(keys Keys) error {
	var header [cipherHeaderSize]byte
	if _, err := io.ReadFull(c.random, header[:]); err != nil {
		return err
	}
	if err := c.boxes.init(keys.Hash, c.initiator, c.random); err != nil {
		return err
	}
	keys.PublicKey = bytes.Clone(keys.PublicKey)
	keys.RemotePublicKey = bytes.Clone(keys.RemotePublicKey)
	c.keys = keys

	id := StreamID(keys.Hash, c.initiator)
	c.write.Lock()
	c.write.tx.init(&keys.TX, &header)
	c.queueLocked(func(b []byte) []byte { return appendFrame(b, append(id[:], header[:]...)) })
	c.write.Unlock()

	c.readDeadlineSet.Lock()
	defer c.readDeadlineSet.Unlock()
	close(c.opened)
	if at := c.readDeadlineSet.at; !at.IsZero() {
		return c.in.SetReadDeadline(at)
	}
	return nil
}

// receiveHeader takes the peer's header; the reader's lock must be held.
func (c *Conn) receiveHeader() error {
	region, err := c.read.frames.next(headerSize)
	switch {
	case errors.Is(err, ErrFrame):
		return fmt.Errorf("%w: %w", ErrHeader, err)
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	}
	body := region[scratch:]
	if len(body) != headerSize {
		return fmt.Errorf("%w: %d bytes, expected %d", ErrHeader, len(body), headerSize)
	}
	if want := StreamID(c.keys.Hash, !c.initiator); !bytes.Equal(body[:idSize], want[:]) {
		return fmt.Errorf("%w: it belongs to stream %x, not %x", ErrHeader, body[:idSize], want)
	}
	c.read.rx.init(&c.keys.RX, (*[cipherHeaderSize]byte)(body[idSize:]))
	c.read.header = true
	return nil
}
