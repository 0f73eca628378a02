package main

import "fmt"

const (
	// pageItems is the number of items that one request looks at.
	pageItems = 32
	// defaultItems are some 10 MiB that every collection has to mark.
	defaultItems = 1600 * pageItems
	// defaultFilled: nearly all items of a catalogue have nothing to say, which is why an empty map for each is so dear.
	defaultFilled = 256
	// leastEntries and mostEntries bound what an item has of one kind, if it has anything.
	leastEntries = 5
	mostEntries  = 20
)

// pair is one entry as a database returns it: a row, not a map.
type pair struct {
	key   string
	value int
}

// item is what the service sells.
type item struct {
	name       string
	attributes []pair
	labels     []pair
	discounts  []pair
}

// catalogue is all that stays on the heap.
type catalogue struct {
	items []*item
}

// newCatalogue makes the same catalogue for the same numbers.
func newCatalogue(items, filled int) (*catalogue, error) {
	if items < pageItems || filled < 1 {
		return nil, fmt.Errorf("-items must be at least %d and -filled at least 1, not %d and %d", pageItems, items, filled)
	}
	made := &catalogue{items: make([]*item, items/pageItems*pageItems)}
	for at := range made.items {
		it := &item{name: fmt.Sprintf("item %d", at)}
		if at%filled == 0 {
			entries := leastEntries + at/filled%(mostEntries-leastEntries+1)
			switch at / filled % 4 {
			case 0, 1:
				it.attributes = pairs("attribute", entries)
			case 2:
				it.labels = pairs("label", entries)
			case 3:
				it.discounts = pairs("discount", entries)
			}
		}
		made.items[at] = it
	}
	return made, nil
}

func pairs(kind string, count int) []pair {
	made := make([]pair, count)
	for at := range made {
		made[at] = pair{fmt.Sprintf("%s %d", kind, at), at + 1}
	}
	return made
}

// pages is how many pages the catalogue has.
func (c *catalogue) pages() uint64 {
	return uint64(len(c.items) / pageItems)
}

// page is a page by its number; after the last comes the first again.
func (c *catalogue) page(number uint64) []*item {
	first := int(number%c.pages()) * pageItems
	return c.items[first : first+pageItems]
}
