"""Opens TUN devices and becomes another program, which inherits them and runs before all others.

    open-tun.py NAME... -- PROGRAM ARGUMENT...   (root)

The file descriptors are added to the program's arguments in the order of the names. A TUN device hands every packet
that is routed to it to whoever holds the descriptor, and takes packets from it; getting one needs an ioctl, which Node
does not have. The device ends with the program.
"""
import fcntl
import os
import struct
import sys

# No folder of compiled Python among the sources.
sys.dont_write_bytecode = True
from haste import hasten

# From <linux/if_tun.h>: the request, and raw IP packets without a header of the device's own.
TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
# The lowest niceness.
HASTE = -20

end = sys.argv.index("--")
descriptors = []
for name in sys.argv[1:end]:
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    # struct ifreq: the name, then the flags; 40 bytes in all.
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    os.set_inheritable(descriptor, True)
    descriptors.append(str(descriptor))
hasten(HASTE)
program = sys.argv[end + 1 :]
os.execvp(program[0], program + descriptors)
