package decode

import "strings"

// action is what is done with a key that an application wrote, in bits.
type action uint8

const (
	message action = 1 << iota
	level
	stampKey
	reserved // ours: the application's goes under the prefix
)

// names finds out what a key means. Most keys mean nothing, and that is found out by one look into a table.
type names struct {
	slots  [256]uint8 // index+1 into list
	dotted [256]bool  // first bytes of reserved keys: they cover what is below them, too
	list   []name
}

type name struct {
	key  string
	what action
	next uint8
}

// hash is a byte that few keys of one line share.
func hash(key string) uint8 {
	n := len(key)
	if n == 0 {
		return 0
	}
	return uint8(int(key[0])*31 + int(key[n-1])*7 + int(key[n/2])*3 + n*17)
}

// add gives key one more meaning. At most 255 keys fit; those beyond have none.
func (n *names) add(key string, what action) {
	h := hash(key)
	if what == reserved && key != "" {
		n.dotted[key[0]] = true
	}
	for i := range n.list {
		if n.list[i].key == key {
			n.list[i].what |= what
			return
		}
	}
	if key == "" || len(n.list) == 255 {
		return
	}
	n.list = append(n.list, name{key, what, n.slots[h]})
	n.slots[h] = uint8(len(n.list))
}

func (n *names) exact(key string, h uint8) action {
	for i := n.slots[h]; i != 0; {
		e := &n.list[i-1]
		if e.key == key {
			return e.what
		}
		i = e.next
	}
	return 0
}

// find returns what key means, which is nothing for most; h is its hash.
func (n *names) find(key string, h uint8) action {
	if key == "" || key[0] == '.' || key[len(key)-1] == '.' {
		return reserved // an empty name, also of an object, is refused by Elasticsearch
	}
	var what action
	if n.slots[h] != 0 {
		what = n.exact(key, h)
	}
	if n.dotted[key[0]] && what&reserved == 0 {
		if dot := strings.IndexByte(key, '.'); dot > 0 {
			what |= n.exact(key[:dot], hash(key[:dot])) & reserved
		}
	}
	return what
}

// Reserved are the keys that an application may not set, nor anything below them.
func Reserved() []string {
	return []string{
		"@timestamp", "message", "log", "kubernetes", "host", "ecs", "data_stream",
		"_id", "_index", "_source", "_type", "_routing", "_ignored", "_field_names", "_nested_path", "_doc_count", "_tier", "_size",
		"_seq_no", "_version", "_op_type", "_feature", "_ignored_source",
	}
}
