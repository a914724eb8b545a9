# Threads that hand work to each other; the answer does not depend on who did what.
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

q, out, lock = queue.Queue(50), [], threading.Lock()


def worker():
    while (n := q.get()) is not None:
        v = sum(i * i for i in range(n))
        with lock:
            out.append((n, v))


threads = [threading.Thread(target=worker) for _ in range(6)]
for t in threads:
    t.start()
for n in range(300):
    q.put(n)
for t in threads:
    q.put(None)
for t in threads:
    t.join()
print(len(out), sum(v for _, v in out), sorted(out)[-1])
with ThreadPoolExecutor(8) as pool:
    print(sum(pool.map(lambda n: pow(n, 65537, 1000003), range(1000))))
