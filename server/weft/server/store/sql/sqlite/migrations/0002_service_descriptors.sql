-- Apart from the document, which lists read: a set may have a megabyte, and is
-- asked for one service at a time. The form is that of weft.server.store.codec.

ALTER TABLE services ADD COLUMN descriptors BLOB;
