package board

import "os"

// This file is the agreed shape; the real bodies replace it.

// Board is the whole of it.
type Board struct{}

// New returns a board on the heap.
func New(loops, backends int) *Board { panic("stub") }

// Create returns a board in shared memory and its file, to be handed to workers.
func Create(loops, backends int) (*Board, *os.File, error) { panic("stub") }

// Open maps the board in f, which another process created; it checks magic,
// version and shape.
func Open(f *os.File) (*Board, error) { panic("stub") }

// Close unmaps a shared board.
func (b *Board) Close() error { panic("stub") }

func (b *Board) Loops() int    { panic("stub") }
func (b *Board) Backends() int { panic("stub") }

// Loop returns the slot of loop i.
func (b *Board) Loop(i int) *Loop { panic("stub") }

// Backend returns the slot of backend j in loop i.
func (b *Board) Backend(loop, backend int) *Backend { panic("stub") }

// TakeOver sets the gauges of loop i to zero, for a loop that begins.
func (b *Board) TakeOver(loop int) { panic("stub") }
