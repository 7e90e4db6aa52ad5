package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Node is the name that pods are told of the node they run on.
const Node = "node-1"

// Relabel changes the labels of a running pod: its files of the downward API follow, its environment does not.
func (p *Pod) Relabel(ctx context.Context, labels map[string]string) error {
	p.opts.Meta.Labels = maps.Clone(labels)
	for _, v := range p.spec.Volumes {
		if v.DownwardAPI != nil {
			if err := p.projectMeta(ctx, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell is what the downward API says of a field.
func (p *Pod) tell(ref *corev1.ObjectFieldSelector) (string, error) {
	if ref == nil {
		return "", errors.New("only fields of the pod are known")
	}
	switch ref.FieldPath {
	case "metadata.name":
		return p.Name, nil
	case "metadata.namespace":
		if p.opts.Meta.Namespace == "" {
			return "default", nil
		}
		return p.opts.Meta.Namespace, nil
	case "metadata.uid":
		return string(p.opts.Meta.UID), nil
	case "metadata.labels":
		return lines(p.opts.Meta.Labels), nil
	case "metadata.annotations":
		return lines(p.opts.Meta.Annotations), nil
	case "spec.nodeName":
		return Node, nil
	case "status.podIP":
		return p.IP, nil
	}
	return "", fmt.Errorf("field %s is not known", ref.FieldPath)
}

// lines is a map as a kubelet writes it into a file.
func lines(m map[string]string) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s=%q\n", key, m[key])
	}
	return b.String()
}

func (p *Pod) projectMeta(ctx context.Context, v corev1.Volume) error {
	files := map[string]string{}
	for _, item := range v.DownwardAPI.Items {
		text, err := p.tell(item.FieldRef)
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		files[item.Path] = text
	}
	mode := fs.FileMode(0o644)
	if v.DownwardAPI.DefaultMode != nil {
		mode = fs.FileMode(*v.DownwardAPI.DefaultMode)
	}
	return p.swap(ctx, v.Name, files, mode)
}
