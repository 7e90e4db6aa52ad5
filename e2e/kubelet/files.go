package kubelet

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
)

// Account is how pods reach an API server.
type Account struct {
	Host, Port string
	Files      map[string]string // token, ca.crt and namespace
}

const (
	accountVolume = "kube-api-access"
	accountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"
)

// Update replaces a ConfigMap or Secret in the pod, as a kubelet does some time after it was edited.
func (p *Pod) Update(ctx context.Context, name string, files map[string]string) error {
	p.opts.Files = maps.Clone(p.opts.Files)
	p.opts.Files[name] = files
	for _, v := range p.spec.Volumes {
		if v.ConfigMap != nil && v.ConfigMap.Name == name || v.Secret != nil && v.Secret.SecretName == name {
			if err := p.project(ctx, v); err != nil {
				return err
			}
		}
	}
	return nil
}

// project writes the files of a ConfigMap or Secret.
func (p *Pod) project(ctx context.Context, v corev1.Volume) error {
	if v.DownwardAPI != nil {
		return p.projectMeta(ctx, v)
	}
	var name string
	var items []corev1.KeyToPath
	var mode *int32
	if c := v.ConfigMap; c != nil {
		name, items, mode = c.Name, c.Items, c.DefaultMode
	} else {
		name, items, mode = v.Secret.SecretName, v.Secret.Items, v.Secret.DefaultMode
	}
	content, ok := p.opts.Files[name]
	if !ok {
		return fmt.Errorf("volume %s: there is no %s", v.Name, name)
	}
	files := content
	if len(items) > 0 {
		files = map[string]string{}
		for _, item := range items {
			text, ok := content[item.Key]
			if !ok {
				return fmt.Errorf("volume %s: %s has no key %s", v.Name, name, item.Key)
			}
			files[item.Path] = text
		}
	}
	perm := fs.FileMode(0o644)
	if mode != nil {
		perm = fs.FileMode(*mode)
	}
	return p.swap(ctx, v.Name, files, perm)
}

// The files of a volume are links into ..data, a link that is replaced in one step.
const swap = `set -e
new=..$(date +%s.%N)
mkdir /v/$new
cp /from/* /v/$new/
chown -R 0:$GROUP /v/$new
chmod 2755 /v/$new
chmod $MODE /v/$new/*
old=$(readlink /v/..data || true)
ln -s $new /v/..data_tmp
mv -T /v/..data_tmp /v/..data
for f in /from/*; do ln -sfn ..data/${f##*/} /v/${f##*/}; done
for f in /v/*; do test -e $f || rm $f; done
test -z "$old" || rm -r /v/$old`

func (p *Pod) swap(ctx context.Context, volume string, files map[string]string, mode fs.FileMode) error {
	dir, err := os.MkdirTemp("", "files-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err = p.engine.Do(ctx, "run", "--rm", "-v", dir+":/from:ro", "-v", p.volume(volume)+":/v",
		"-e", "GROUP="+p.group(), "-e", fmt.Sprintf("MODE=%04o", mode), p.opts.Base, "sh", "-c", swap)
	return err
}

// group owns the volumes of a pod.
func (p *Pod) group() string {
	if sc := p.spec.SecurityContext; sc != nil && sc.FSGroup != nil {
		return fmt.Sprint(*sc.FSGroup)
	}
	return "0"
}

func (p *Pod) wantsAccount() bool {
	mount := p.spec.AutomountServiceAccountToken
	return p.opts.Account != nil && (mount == nil || *mount)
}

func (p *Pod) accountVolume(ctx context.Context) error {
	if !p.wantsAccount() {
		return nil
	}
	if _, err := p.engine.Do(ctx, "volume", "create", p.volume(accountVolume)); err != nil {
		return err
	}
	return p.swap(ctx, accountVolume, p.opts.Account.Files, 0o640)
}

// account are the arguments of `run` that give a container its service account.
func (p *Pod) account() []string {
	if !p.wantsAccount() {
		return nil
	}
	a := p.opts.Account
	return []string{"-v", p.volume(accountVolume) + ":" + accountFolder + ":ro", "-e", "KUBERNETES_SERVICE_HOST=" + a.Host, "-e", "KUBERNETES_SERVICE_PORT=" + a.Port}
}
