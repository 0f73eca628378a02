package main

import "sync"

// pooledMaps takes maps out of a pool; of nothing it makes none, as nilMaps.
type pooledMaps struct {
	pool sync.Pool
}

// take is an empty map of the pool, or a new one with room for what an item has at most.
func (p *pooledMaps) take() map[string]int {
	if used, ok := p.pool.Get().(map[string]int); ok {
		return used
	}
	return make(map[string]int, mostEntries)
}

// giveBack empties a map for the next who takes it. (The loop is what `clear` is since Go 1.21.)
func (p *pooledMaps) giveBack(used map[string]int) {
	if used == nil {
		return
	}
	for key := range used {
		delete(used, key)
	}
	p.pool.Put(used)
}

func (p *pooledMaps) lookupAttributes(it *item) map[string]int {
	if len(it.attributes) == 0 {
		return nil
	}
	attributes := p.take()
	for _, pair := range it.attributes {
		attributes[pair.key] = pair.value
	}
	return attributes
}

func (p *pooledMaps) lookupLabels(it *item) map[string]int {
	if len(it.labels) == 0 {
		return nil
	}
	labels := p.take()
	for _, pair := range it.labels {
		labels[pair.key] = pair.value
	}
	return labels
}

func (p *pooledMaps) lookupDiscounts(it *item) map[string]int {
	if len(it.discounts) == 0 {
		return nil
	}
	discounts := p.take()
	for _, pair := range it.discounts {
		discounts[pair.key] = pair.value
	}
	return discounts
}
