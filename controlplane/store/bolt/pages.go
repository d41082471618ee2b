package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"github.com/gatehouse-mcp/gatehouse/controlplane/store"
)

// The parts of bbolt's format that say which page refers to which. Numbers are in the byte order of the machine.
const (
	pageHeader  = 16 // id 8, flags 2, count 2, overflow 4
	elementSize = 16 // branch: position 4, key 4, page 8; leaf: flags 4, position 4, key 4, value 4

	branchPage  = 0x01 // flag of a page whose elements are pages
	leafPage    = 0x02 // flag of a page whose elements are keys and values
	freePage    = 0x10 // flag of the page that lists the free ones, in ascending order
	bucketValue = 0x01 // flag of a leaf's element whose value is a bucket

	rootOffset = pageHeader + 16 // in a head page: the page of the root bucket
	freeOffset = pageHeader + 32 // in a head page: the page of the list of free pages
	endOffset  = pageHeader + 40 // in a head page: the first page that does not exist
)

var native = binary.NativeEndian

// pages are those of a file, each of which may be in use once.
type pages struct {
	file *os.File
	size uint64              // of one page, in bytes
	end  uint64              // the first page that does not exist
	used map[uint64]struct{} // by a tree, or as free
	todo []uint64            // pages of trees that were referred to and not visited yet
}

// page is the beginning of one.
type page struct {
	id, count, overflow uint64
	flags               uint16
}

// provePages checks that the pages of a file form trees, that their elements lie within them, and that no page in use is
// listed as free. bbolt takes all that for granted: it follows a page that refers to itself until memory is gone, where
// no recover helps, and it overwrites what is listed as free. The check reads the beginning of each page, no values.
func provePages(path string) (err error) {
	db, err := openBolt(path, &bbolt.Options{ReadOnly: true}) // reads the head pages and nothing more
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, guarded(db.Close)) }()
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	w := pages{file: f, size: uint64(db.Info().PageSize), used: make(map[uint64]struct{})}
	err = guarded(func() error {
		return db.View(func(tx *bbolt.Tx) error { return w.prove(uint64(tx.ID()) % 2) })
	})
	return errors.Join(err, f.Close())
}

// prove begins at one of the two head pages, whose checksum bbolt knows to be right.
func (w *pages) prove(head uint64) error {
	b, err := w.read(head, 0, endOffset+8)
	if err != nil {
		return err
	}
	w.end = native.Uint64(b[endOffset:])
	w.todo = append(w.todo, native.Uint64(b[rootOffset:]))
	for len(w.todo) > 0 {
		id := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		if err := w.visit(id); err != nil {
			return fmt.Errorf("checking page %d: %w", id, err)
		}
	}
	free := native.Uint64(b[freeOffset:])
	if err := w.proveFree(free); err != nil {
		return fmt.Errorf("checking page %d: %w", free, err)
	}
	return nil
}

// open reads the beginning of a page and takes it, with what it overflows into, into use.
func (w *pages) open(id uint64) (p page, err error) {
	if id >= w.end {
		return p, fmt.Errorf("it does not exist: %w", store.ErrCorrupt)
	}
	b, err := w.read(id, 0, pageHeader)
	if err != nil {
		return p, err
	}
	p = page{id: id, flags: native.Uint16(b[8:]), count: uint64(native.Uint16(b[10:])), overflow: uint64(native.Uint32(b[12:]))}
	if native.Uint64(b) != id || id+p.overflow >= w.end {
		return p, fmt.Errorf("its head is not its own: %w", store.ErrCorrupt)
	}
	for n := id; n <= id+p.overflow; n++ {
		if err := w.use(n); err != nil {
			return p, err
		}
	}
	return p, nil
}

// use takes one page into use, or says that it cannot be.
func (w *pages) use(id uint64) error {
	if _, ok := w.used[id]; ok || id < 2 || id >= w.end {
		return fmt.Errorf("page %d is in use twice, or does not exist: %w", id, store.ErrCorrupt)
	}
	w.used[id] = struct{}{}
	return nil
}

// array reads n numbers or elements of a size each, which begin at a place in the page.
func (w *pages) array(p page, at, n, size uint64) ([]byte, error) {
	if n > (1+p.overflow)*w.size || at+n*size > (1+p.overflow)*w.size {
		return nil, fmt.Errorf("its elements do not fit: %w", store.ErrCorrupt)
	}
	return w.read(p.id, at, n*size)
}

// proveFree checks the list of free pages, and that none of them is in use. A list of 65,535 or more has its length as
// its first number.
func (w *pages) proveFree(id uint64) error {
	p, err := w.open(id)
	if err != nil {
		return err
	}
	if p.flags != freePage {
		return fmt.Errorf("it is not the list of free pages: %w", store.ErrCorrupt)
	}
	at := uint64(pageHeader)
	if p.count == 0xffff {
		b, err := w.array(p, at, 1, 8)
		if err != nil {
			return err
		}
		p.count, at = native.Uint64(b), at+8
	}
	b, err := w.array(p, at, p.count, 8)
	for ; err == nil && len(b) > 0; b = b[8:] {
		err = w.use(native.Uint64(b))
	}
	return err
}

// visit checks one page of a tree and notes those it refers to.
func (w *pages) visit(id uint64) error {
	p, err := w.open(id)
	if err != nil {
		return err
	}
	if p.flags != leafPage && (p.flags != branchPage || p.count == 0) {
		return fmt.Errorf("it is neither leaf nor branch: %w", store.ErrCorrupt)
	}
	b, err := w.array(p, pageHeader, p.count, elementSize)
	for at := uint64(pageHeader); err == nil && len(b) > 0; at, b = at+elementSize, b[elementSize:] {
		err = w.follow(p, at, b[:elementSize])
	}
	return err
}

// follow looks at one element, which begins at a place in its page.
func (w *pages) follow(p page, at uint64, e []byte) error {
	size := (1 + p.overflow) * w.size
	if p.flags == branchPage {
		w.todo = append(w.todo, native.Uint64(e[8:]))
		return within(size, at+uint64(native.Uint32(e)), native.Uint32(e[4:]), 0)
	}
	flags, position, key, value := leafElement(at, e)
	if err := within(size, position, key, value); err != nil || flags&bucketValue == 0 {
		return err
	}
	b, err := w.array(p, position+uint64(key), uint64(value), 1)
	if err != nil {
		return err
	}
	return w.enter(b)
}

// enter notes the root of a bucket. 0 says that the bucket is small enough to lie here: a leaf after the root and 8 bytes
// more, with elements as in a page.
func (w *pages) enter(bucket []byte) error {
	const leaf = 16
	if len(bucket) >= leaf && native.Uint64(bucket) != 0 {
		w.todo = append(w.todo, native.Uint64(bucket))
		return nil
	}
	if len(bucket) < leaf+pageHeader || native.Uint16(bucket[leaf+8:]) != leafPage {
		return fmt.Errorf("a bucket within it is no leaf: %w", store.ErrCorrupt)
	}
	page, count := bucket[leaf:], int(native.Uint16(bucket[leaf+10:]))
	if pageHeader+count*elementSize > len(page) {
		return fmt.Errorf("the elements of a bucket within it do not fit: %w", store.ErrCorrupt)
	}
	for at := pageHeader; at < pageHeader+count*elementSize; at += elementSize {
		_, position, key, value := leafElement(uint64(at), page[at:])
		if err := within(uint64(len(page)), position, key, value); err != nil {
			return err
		}
	}
	return nil
}

// leafElement decodes an element of a leaf, and makes its position count from where the page begins.
func leafElement(at uint64, e []byte) (flags uint32, position uint64, key, value uint32) {
	return native.Uint32(e), at + uint64(native.Uint32(e[4:])), native.Uint32(e[8:]), native.Uint32(e[12:])
}

// within checks that a key and the value behind it end before the size of what they lie in.
func within(size, position uint64, key, value uint32) error {
	if position+uint64(key)+uint64(value) > size {
		return fmt.Errorf("an element lies outside: %w", store.ErrCorrupt)
	}
	return nil
}

// read returns n bytes of a page; where the file ends before them, it is damaged.
func (w *pages) read(id, at, n uint64) ([]byte, error) {
	b := make([]byte, n)
	if _, err := w.file.ReadAt(b, int64(id*w.size+at)); err != nil {
		return nil, fmt.Errorf("reading %d bytes: %w: %w", n, store.ErrCorrupt, err)
	}
	return b, nil
}
