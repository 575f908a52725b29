--  A bounded buffer between tasks, as flight software keeps telemetry frames before they are sent.

with Ada.Text_IO;
with Interfaces; use Interfaces;

package body Telemetry.Buffers is

   use Ada.Text_IO;

   Capacity : constant := 64;

   type Frame_Index is mod Capacity;
   subtype Frame_Count is Natural range 0 .. Capacity;

   type Frame is record
      Source   : Unsigned_8;
      Sequence : Unsigned_16;
      Payload  : Payload_Bytes (1 .. 32);
      Checksum : Unsigned_16;
   end record;

   type Frame_Store is array (Frame_Index) of Frame;

   protected Buffer is
      entry Put (Item : in Frame);
      entry Get (Item : out Frame);
      function Length return Frame_Count;
      procedure Clear;
   private
      Store : Frame_Store;
      Head  : Frame_Index := 0;
      Tail  : Frame_Index := 0;
      Count : Frame_Count := 0;
   end Buffer;

   protected body Buffer is

      entry Put (Item : in Frame) when Count < Capacity is
      begin
         Store (Tail) := Item;
         Tail := Tail + 1;
         Count := Count + 1;
      end Put;

      entry Get (Item : out Frame) when Count > 0 is
      begin
         Item := Store (Head);
         Head := Head + 1;
         Count := Count - 1;
      end Get;

      function Length return Frame_Count is
      begin
         return Count;
      end Length;

      procedure Clear is
      begin
         Head := 0;
         Tail := 0;
         Count := 0;
      end Clear;

   end Buffer;

   function Checksum_Of (Item : Frame) return Unsigned_16 is
      Sum : Unsigned_16 := Unsigned_16 (Item.Source) xor Item.Sequence;
   begin
      for Index in Item.Payload'Range loop
         Sum := Rotate_Left (Sum, 1) xor Unsigned_16 (Item.Payload (Index));
      end loop;
      return Sum;
   end Checksum_Of;

   function Is_Valid (Item : Frame) return Boolean is
   begin
      return Item.Checksum = Checksum_Of (Item);
   end Is_Valid;

   procedure Send_All (Sent : out Natural) is
      Item : Frame;
   begin
      Sent := 0;
      while Buffer.Length > 0 loop
         Buffer.Get (Item);
         if Is_Valid (Item) then
            Transmit (Item);
            Sent := Sent + 1;
         else
            Put_Line ("dropped frame" & Item.Sequence'Image);
         end if;
      end loop;
   end Send_All;

end Telemetry.Buffers;
