// Prints what a shared informer tells of the config maps of one namespace, one JSON object a line.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

type line struct {
	Event string            `json:"event"`
	Name  string            `json:"name,omitempty"`
	Data  map[string]string `json:"data,omitempty"`
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "path of a kubeconfig")
	namespace := flag.String("namespace", "default", "namespace to follow")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	fail(err)
	clients, err := kubernetes.NewForConfig(config)
	fail(err)

	var lock sync.Mutex
	encoder := json.NewEncoder(os.Stdout)
	say := func(event string, object any) {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		said := line{Event: event}
		if configMap, ok := object.(*corev1.ConfigMap); ok {
			said.Name, said.Data = configMap.Name, configMap.Data
		}
		lock.Lock()
		defer lock.Unlock()
		fail(encoder.Encode(said))
	}

	factory := informers.NewSharedInformerFactoryWithOptions(clients, 0, informers.WithNamespace(*namespace))
	informer := factory.Core().V1().ConfigMaps().Informer()
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { say("add", object) },
		UpdateFunc: func(_, object any) { say("update", object) },
		DeleteFunc: func(object any) { say("delete", object) },
	})
	fail(err)

	stop := make(chan struct{})
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() { <-signals; close(stop) }()
	factory.Start(stop)
	if cache.WaitForCacheSync(stop, registration.HasSynced) {
		say("synced", nil)
	}
	<-stop
}
