package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sidecar-kit/sidecar/internal/inflate"
)

// Sink sees objects as they arrive, each inflated and hashed once.
type Sink interface {
	// Object is called for every object that fits into memory: for trees and commits by one goroutine, before anything
	// that follows them in the pack; for blobs by several at a time. The data is valid during the call only. An error
	// ends the ingest.
	Object(typ Type, h Hash, data []byte) error
}

// Limits bound what a server may send. Zero is no limit.
type Limits struct {
	PackBytes int64 // of the pack as sent
	Inflated  int64 // of all objects together, deltas as deltas
	Objects   int
}

// Received says what an ingest brought.
type Received struct {
	Bytes   int64 // of the pack as sent
	Objects int
}

// Ingest stores a pack that arrives on r, in one pass: each object is inflated once, hashed by another goroutine and
// shown to sink (which may be nil). A thin pack is completed with the objects it stands upon. Nothing is visible until
// the whole pack is there and its checksum is right. With durable, files are synced before they get their names;
// without, the caller syncs the file system before anything relies on them. r is closed.
//
// ErrCorrupt is the sender's fault; io.ErrUnexpectedEOF a cut connection; errors of r and of sink are passed on.
func (s *Store) Ingest(ctx context.Context, r io.ReadCloser, sink Sink, lim Limits, durable bool) (Received, error) {
	err := os.MkdirAll(s.dir, 0o755) // somebody may have removed it
	var f *os.File
	if err == nil {
		f, err = os.CreateTemp(s.dir, "tmp-pack-")
	}
	if err != nil {
		return Received{}, errors.Join(err, r.Close())
	}
	in := &ingest{s: s, ctx: ctx, sink: sink, lim: lim, p: &pack{path: f.Name(), file: f}}
	got, err := in.run(r)
	if err == nil && got.Objects > 0 {
		err = in.publish(durable)
	}
	if err != nil || got.Objects == 0 {
		s.cache.reset() // it may hold bases by the offsets of a pack that goes away
		return got, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return got, nil
}

type ingest struct {
	s    *Store
	ctx  context.Context //nolint:containedctx // lives as long as one call of Ingest
	sink Sink
	lim  Limits
	p    *pack

	src      *inflate.Source
	inf      inflate.Decoder
	objects  objects
	pending  []int         // objects that wait for a base that comes later
	external map[Hash]bool // bases that are not in this pack
	inflated int64
	inline   *hasher

	jobs  chan job
	free  chan []byte
	flown sync.WaitGroup // jobs under way

	mu  sync.Mutex
	err error // the first of a worker
}

// job is one inflated object on its way to a worker.
type job struct {
	at     int
	typ    Type
	data   []byte
	pooled bool
}

const (
	// inFlight bounds the buffers between the inflater and the workers.
	inFlight = 16
	// pooledSize is the length in bytes up to which an object travels to a worker in a reused buffer; longer ones are
	// rare and handled where they are.
	pooledSize = 128 << 10
)

func (in *ingest) run(r io.ReadCloser) (Received, error) {
	tee := newTee(r, in.p.file, in.lim.PackBytes)
	in.src = inflate.NewSource(tee, 256<<10, 0)
	in.inf.Reset(in.src)
	in.external = make(map[Hash]bool)
	in.inline = newHasher()
	in.jobs = make(chan job, inFlight)
	in.free = make(chan []byte, inFlight)
	var workers sync.WaitGroup
	for range min(4, runtime.GOMAXPROCS(0)) {
		workers.Go(in.work)
	}
	n, err := in.parse()
	if err == nil {
		err = tee.finish()
	}
	if err == nil && in.src.Pos() != tee.total {
		err = corruptf("pack holds more than the %d objects its header says", n)
	}
	// Closing the stream ends the reading goroutine where the parser stopped early.
	err = errors.Join(err, r.Close())
	tee.stop()
	if err == nil {
		err = in.resolvePending()
	}
	close(in.jobs)
	workers.Wait()
	if werr := in.failed(); werr != nil {
		err = werr
	}
	return Received{Bytes: tee.total, Objects: n}, err
}

func (in *ingest) parse() (int, error) {
	head, err := in.src.Next(packHeaderLen)
	if err != nil {
		return 0, err
	}
	count, err := packCount(head)
	if err != nil {
		return 0, err
	}
	if in.lim.Objects > 0 && int64(count) > int64(in.lim.Objects) {
		return 0, corruptf("pack of %d objects is over the limit of %d", count, in.lim.Objects)
	}
	for i := range int(count) {
		if err := in.one(i); err != nil {
			return i, fmt.Errorf("object %d of %d in pack: %w", i+1, count, err)
		}
	}
	// The trailer is compared by the reading side, which has seen every byte.
	_, err = in.src.Next(hashLen)
	return int(count), err
}

func (in *ingest) one(i int) error {
	if err := in.ctx.Err(); err != nil {
		return err
	}
	if err := in.failed(); err != nil {
		return err
	}
	rec, err := recordHead(in.src)
	if err != nil {
		return err
	}
	if in.inflated += rec.size; in.lim.Inflated > 0 && in.inflated > in.lim.Inflated {
		return corruptf("objects of more than %d bytes are over the limit", in.lim.Inflated)
	}
	in.objects.add(rec.off)
	switch rec.typ {
	case plumbing.OFSDeltaObject, plumbing.REFDeltaObject:
		return in.delta(i, rec)
	case plumbing.BlobObject:
		if rec.size > streamSize {
			in.objects.at(i).hash, err = streamBlob(&in.inf, rec.size, io.Discard)
			return err
		}
	}
	return in.plain(i, rec)
}

func (in *ingest) plain(i int, rec record) error {
	if rec.size > pooledSize {
		buf := make([]byte, rec.size+inflate.Slack)
		if err := whole(&in.inf, buf, int(rec.size)); err != nil {
			return err
		}
		in.send(job{at: i, typ: rec.typ, data: buf[:rec.size]})
		in.flown.Wait() // one large object at a time
		return nil
	}
	var buf []byte
	select {
	case buf = <-in.free:
	default:
		buf = make([]byte, pooledSize+inflate.Slack)
	}
	if err := whole(&in.inf, buf, int(rec.size)); err != nil {
		return err
	}
	in.send(job{at: i, typ: rec.typ, data: buf[:rec.size], pooled: true})
	return nil
}

// send hands a blob to a worker. Everything else is done at once: what follows may depend on it.
func (in *ingest) send(j job) {
	if j.typ != plumbing.BlobObject {
		in.handle(in.inline, j)
		return
	}
	in.flown.Add(1)
	in.jobs <- j
}

// delta inflates a delta and puts its result together, or leaves it for later.
func (in *ingest) delta(i int, rec record) error {
	buf := make([]byte, rec.size+inflate.Slack)
	if err := whole(&in.inf, buf, int(rec.size)); err != nil {
		return err
	}
	err := in.resolve(i, rec, buf[:rec.size])
	if errors.Is(err, errNoBase) {
		in.pending = append(in.pending, i)
		return nil
	}
	return err
}

func (in *ingest) resolve(i int, rec record, delta []byte) error {
	basePack, off, err := in.s.base(in.p, rec)
	if err != nil {
		return err
	}
	if basePack != in.p {
		in.external[rec.baseHash] = true
	}
	typ, base, err := in.s.load(basePack, off)
	if err != nil {
		return err
	}
	data, err := patch(base, delta)
	if err != nil {
		return err
	}
	in.s.cache.put(in.p, rec.off, typ, data)
	in.send(job{at: i, typ: typ, data: data})
	return nil
}

// resolvePending puts together the deltas whose base came after them, as long as that helps.
func (in *ingest) resolvePending() error {
	for len(in.pending) > 0 {
		in.flown.Wait()
		in.p.known = in.objects.names()
		wait := in.pending
		in.pending = nil
		for _, i := range wait {
			if err := in.ctx.Err(); err != nil {
				return err
			}
			rec, body, err := in.s.read(in.p, in.objects.at(i).off)
			if err != nil {
				return err
			}
			err = in.resolve(i, rec, body)
			if errors.Is(err, errNoBase) {
				in.pending = append(in.pending, i)
				continue
			}
			if err != nil {
				return err
			}
		}
		if len(in.pending) == len(wait) {
			return corruptf("%d deltas stand upon objects that were neither sent nor here", len(wait))
		}
	}
	return nil
}

func (in *ingest) work() {
	h := newHasher()
	for j := range in.jobs {
		in.handle(h, j)
		in.flown.Done()
	}
}

func (in *ingest) handle(h *hasher, j job) {
	sum, err := h.sum(j.typ, j.data)
	if err == nil {
		in.objects.at(j.at).hash = sum
		if in.sink != nil {
			err = in.sink.Object(j.typ, sum, j.data)
		}
	}
	if err != nil {
		in.mu.Lock()
		if in.err == nil {
			in.err = err
		}
		in.mu.Unlock()
	}
	if j.pooled {
		select {
		case in.free <- j.data[:cap(j.data)]:
		default:
		}
	}
}

func (in *ingest) failed() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.err
}

// publish completes the pack, writes its index and gives both their names.
func (in *ingest) publish(durable bool) error {
	if len(in.external) > 0 {
		inside := in.objects.names()
		maps.DeleteFunc(in.external, func(h Hash, _ bool) bool { _, ok := inside[h]; return ok })
	}
	entries := in.objects.all()
	if len(in.external) > 0 {
		added, err := in.s.complete(in.p.file, in.external, len(entries))
		if err != nil {
			return err
		}
		entries = append(entries, added...)
	}
	path, err := in.s.finish(in.p.file, entries, durable)
	if err != nil {
		return err
	}
	p, err := openPack(path)
	if err != nil {
		return err
	}
	return errors.Join(in.s.add(p), in.p.file.Close())
}

// add makes a pack visible. A pack that was here already has just been replaced by an equal one.
func (s *Store) add(p *pack) error {
	s.cache.reset()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.packs {
		if o.path == p.path {
			s.packs[i] = p
			return o.close()
		}
	}
	s.packs = append(s.packs, p)
	return nil
}

// finish checks and names a pack whose objects are all in f: checksums, index, sync, rename. It returns the path without
// extension. entries are in the order of their offsets.
func (s *Store) finish(f *os.File, entries []entry, durable bool) (string, error) {
	sum, err := seal(f, entries)
	if err != nil {
		return "", err
	}
	path := filepath.Join(s.dir, "pack-"+sum.String())
	idx, err := os.CreateTemp(s.dir, "tmp-idx-")
	if err != nil {
		return "", err
	}
	err = writeIndex(idx, entries, sum)
	if err == nil {
		err = errors.Join(f.Chmod(0o444), idx.Chmod(0o444))
	}
	if err == nil && durable {
		err = errors.Join(f.Sync(), idx.Sync())
	}
	if err = errors.Join(err, idx.Close()); err == nil {
		// The pack goes first: an index without its pack would promise what is not there.
		err = os.Rename(f.Name(), path+".pack")
	}
	if err == nil {
		err = os.Rename(idx.Name(), path+".idx")
	}
	if err != nil {
		_ = os.Remove(idx.Name()) // swept at the next start otherwise
		return "", err
	}
	if durable {
		err = syncDir(s.dir)
	}
	return path, err
}
