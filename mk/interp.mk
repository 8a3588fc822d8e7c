# The interpreter's handlers hold no buffers and are called a hundred million times a second.
$(O)/obj/src/engine/interp/%.o: CFLAGS += -fno-stack-protector
